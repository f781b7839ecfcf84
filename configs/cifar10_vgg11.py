"""VGG11, without normalization, on CIFAR-10 at 8k: Figure 1.

    python main.py --config=configs/cifar10_vgg11.py:no_bias --data_dir=DIR

The other runs of the figure change one thing each: --config.batch_size=512 or 2048 (the peak stays
0.02), --config.decay.kernel=0.1 or 0.001, --config.learning_rate.peak=0.05 or 0.01, and the variant
bias with --config.decay.bias=0.1 or 1.0.

Hardware: one accelerator; about a quarter of ResNet18's arithmetic. Not yet run in full by us.
Expected: the paper gives the accuracies of this figure only as points against sharpness.
"""

from configs import common


def get_config(variant="no_bias"):
    """The experiment, with the decay of a variant."""
    config = common.lamb("cifar10_vgg11", model="vgg11")
    config.learning_rate.peak = 0.02
    return common.vary(config, variant)
