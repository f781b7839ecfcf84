"""ResNet50-D on ImageNet at 32k: Table 5.

    python main.py --config=configs/imagenet_resnet50_d.py:adaptive --config.data.source=DIR

DIR is ImageNet in any layout that docs/pictures.md lists, such as train/ and val/ with a folder
per class. Table 5's arms are the variants small_batch (1k), no_bias, beta and adaptive (32k).

Hardware: accelerators with 51 GB for micro-batches of 512 (--config.micro_batch_size=512), or 13 GB
for 128, with --strategy=mirrored or more workers. At 50 TFLOP/s per device, 90 epochs take 16.8
hours on one device, 2.1 on 8 and 0.27 on 64, on paper (--plan --flops=5e13 --memory_gb=80
--bandwidth_gbps=50). The host must decode as many pictures per second as the devices take.
Never run by us: we do not have ImageNet.
Expected top-1 accuracy (the paper's): small_batch 77.16, no_bias 76.56, beta 76.97, adaptive 77.24.
"""

from configs import common


def get_config(variant="adaptive"):
    """The experiment, with the decay of a variant."""
    return common.imagenet("imagenet_resnet50_d", "resnet50_d", variant)
