"""Lists of networks' trainable variables as (path, shape), which an optimizer's update needs.

They follow the networks' descriptions, so that nothing has to be built or downloaded.
"""

import math


def resnet50d():
    """ResNet50-D: 25.6 M parameters. Three 3x3 convolutions are its stem."""
    found = []
    for n, (inputs, outputs) in enumerate([(3, 32), (32, 32), (32, 64)]):
        found += _convolution(f"stem{n}", 3, inputs, outputs)
    inputs = 64
    for stage, (width, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for block in range(blocks):
            name = f"stage{stage}_block{block}"
            found += _convolution(f"{name}_conv1", 1, inputs, width)
            found += _convolution(f"{name}_conv2", 3, width, width)
            found += _convolution(f"{name}_conv3", 1, width, 4 * width)
            if block == 0:
                found += _convolution(f"{name}_shortcut", 1, inputs, 4 * width)
            inputs = 4 * width
    return [*found, ("head/kernel", (2048, 1000)), ("head/bias", (1000,))]


def resnet18(width=64):
    """ResNet18 for CIFAR; at width 64 it has 11.2 M parameters."""
    found = _convolution("stem", 3, 3, width)
    inputs = width
    for stage in range(4):
        channels = width * 2**stage
        for block in range(2):
            name = f"stage{stage}_block{block}"
            found += _convolution(f"{name}_conv1", 3, inputs, channels)
            found += _convolution(f"{name}_conv2", 3, channels, channels)
            if inputs != channels:
                found += _convolution(f"{name}_shortcut", 1, inputs, channels)
            inputs = channels
    return [*found, ("head/kernel", (inputs, 10)), ("head/bias", (10,))]


def _convolution(name, size, inputs, outputs):
    """A convolution without bias, and the gamma and beta of its normalization."""
    return [
        (f"{name}/kernel", (size, size, inputs, outputs)),
        *((f"{name}_norm/{leaf}", (outputs,)) for leaf in ("gamma", "beta")),
    ]


def _transformer(layers, width, joined):
    def dense(name, inputs, outputs):
        return [(f"{name}/kernel", (inputs, outputs)), (f"{name}/bias", (outputs,))]

    found = []
    for n in range(layers):
        parts = ["qkv"] if joined else ["query", "key", "value"]
        for part in parts:
            found += dense(f"layer{n}_{part}", width, 3 * width if joined else width)
        found += dense(f"layer{n}_projection", width, width)
        found += dense(f"layer{n}_expand", width, 4 * width)
        found += dense(f"layer{n}_contract", 4 * width, width)
        for norm in ("norm1", "norm2"):
            found += [(f"layer{n}_{norm}/{leaf}", (width,)) for leaf in ("gamma", "beta")]
    return found


def vit_b():
    """ViT-B/16: 86.6 M parameters."""
    return [
        ("patches/kernel", (16, 16, 3, 768)),
        ("patches/bias", (768,)),
        ("token/embeddings", (1, 1, 768)),
        ("position/embeddings", (197, 768)),
        *_transformer(12, 768, joined=True),
        ("norm/gamma", (768,)),
        ("norm/beta", (768,)),
        ("head/kernel", (768, 1000)),
        ("head/bias", (1000,)),
    ]


def bert_large():
    """BERT-large: 335 M parameters."""
    return [
        ("words/embeddings", (30522, 1024)),
        ("positions/embeddings", (512, 1024)),
        ("kinds/embeddings", (2, 1024)),
        ("norm/gamma", (1024,)),
        ("norm/beta", (1024,)),
        *_transformer(24, 1024, joined=False),
        ("pooler/kernel", (1024, 1024)),
        ("pooler/bias", (1024,)),
    ]


def tiny(count=1000):
    """Many gammas and betas of 64 elements each."""
    return [(f"layer{i}/{k}", (64,)) for i in range(count // 2) for k in ("gamma", "beta")]


LISTS = {
    "resnet50d": resnet50d,
    "resnet18": resnet18,
    "tiny": tiny,
    "vit_b": vit_b,
    "bert_large": bert_large,
}


def parameters(variables):
    """Number of parameters of a list."""
    return sum(math.prod(shape) for _, shape in variables)
