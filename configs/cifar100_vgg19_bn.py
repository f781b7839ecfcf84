"""VGG19-BN on CIFAR-100 at 8k: Figure 7.

    python main.py --config=configs/cifar100_vgg19_bn.py:no_bias --data_dir=DIR

The other runs of the figure: as in configs/cifar100_vgg11.py.

Hardware: one accelerator; about three quarters of ResNet18's arithmetic. Not yet run in full by us.
Expected: the paper gives the accuracies of this figure only as points against sharpness.
"""

from configs import common


def get_config(variant="no_bias"):
    """The experiment, with the decay of a variant."""
    config = common.lamb("cifar100_vgg19_bn", model="vgg19_bn")
    config.data.name = "cifar100"
    config.learning_rate.peak = 0.02
    return common.vary(config, variant)
