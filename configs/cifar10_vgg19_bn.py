"""VGG19-BN on CIFAR-10 at 8k: Figure 6.

    python main.py --config=configs/cifar10_vgg19_bn.py:no_bias --data_dir=DIR

The other runs of the figure: as in configs/cifar10_vgg11.py.

Hardware: one accelerator; about three quarters of ResNet18's arithmetic. Not yet run in full by us.
Expected: the paper gives the accuracies of this figure only as points against sharpness.
"""

from configs import common


def get_config(variant="no_bias"):
    """The experiment, with the decay of a variant."""
    config = common.lamb("cifar10_vgg19_bn", model="vgg19_bn")
    config.learning_rate.peak = 0.02
    return common.vary(config, variant)
