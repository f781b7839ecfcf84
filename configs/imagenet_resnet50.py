"""ResNet50 on ImageNet at 32k: the third column of Table 3.

    python main.py --config=configs/imagenet_resnet50.py:beta --config.data.source=DIR

DIR as for imagenet_resnet50_d. The variants are small_batch (1k), no_bias, gamma_frozen, gamma,
beta and the others.

Hardware: as for imagenet_resnet50_d; 15.8 hours on one device of 50 TFLOP/s, 2.0 on 8, 0.25 on 64,
on paper.
Never run by us: we do not have ImageNet.
Expected top-1 accuracy (the paper's): no_bias 76.56, gamma_frozen 76.57, gamma 76.62, beta 76.97;
bn_frozen and beta_frozen failed there.
"""

from configs import common


def get_config(variant="adaptive"):
    """The experiment, with the decay of a variant."""
    return common.imagenet("imagenet_resnet50", "resnet50", variant)
