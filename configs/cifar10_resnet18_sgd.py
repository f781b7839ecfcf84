"""ResNet18 on CIFAR-10 with SGD: Table 1.

    python main.py --config=configs/cifar10_resnet18_sgd.py:full --data_dir=DIR
    python main.py --config=configs/cifar10_resnet18_sgd.py:none --data_dir=DIR

Table 1's other row: --config.batch_size=512; the rate stays 0.1, as the paper states it.

Hardware and time: as configs/cifar10_resnet18.py. Not yet run in full by us.
Expected test accuracy (the paper's, last epoch): batch 512: none 94.00, full 94.86;
batch 8192: none 89.84, full 94.17.
"""

from configs import common


def get_config(variant="full"):
    """The experiment, with the decay of a variant."""
    return common.vary(common.sgd("cifar10_resnet18_sgd"), variant, weight=0.005)
