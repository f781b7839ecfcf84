"""ResNet18 on CIFAR-100 at 8k: Tables 3 and 4.

    python main.py --config=configs/cifar100_resnet18.py:adaptive --data_dir=DIR

Hardware and time: as configs/cifar10_resnet18.py. Not yet run in full by us.
Expected test accuracy (the paper's, last epoch): no_bias 76.77, bn_frozen 77.59,
gamma_frozen 76.99, gamma 77.59, beta_frozen 77.81, beta 77.99, adaptive 78.11; no_bias at batch
512: 78.09, at 2k: 78.03.
"""

from configs import common


def get_config(variant="adaptive"):
    """The experiment, with the decay of a variant."""
    config = common.lamb("cifar100_resnet18")
    config.data.name = "cifar100"
    return common.vary(config, variant)
