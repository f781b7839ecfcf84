"""The ImageNet experiment end to end, on small pictures and a CPU.

    python tools/make_pictures.py --out=DIR
    python main.py --config=configs/imagenet_tiny.py --config.data.source=DIR

The first command writes scikit-learn's digits as 1,797 JPEGs of varied sizes; --data=cifar10 writes
CIFAR's pictures. A fifth is held out for testing.

Hardware: two CPU cores; 88 updates in some four minutes.
Expected test accuracy: 96.4 on 359 pictures, 97.2 by precise statistics (one seed, measured by us).
"""

from configs import common


def get_config(variant="adaptive"):
    """The experiment, with the decay of a variant."""
    config = common.imagenet("imagenet_tiny", "resnet50_d", variant)
    config.data.size = 48
    config.data.least_area = 0.35
    config.data.flip = False  # mirroring changes what a digit is
    config.batch_size = 128
    config.evaluation_batch_size = 128
    config.epochs = 8
    config.model.width = 16
    config.learning_rate.peak = 0.04
    return config
