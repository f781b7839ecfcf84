"""ResNet18 on CIFAR-10 at 8k: Tables 2, 3 and 4.

    python main.py --config=configs/cifar10_resnet18.py:adaptive --data_dir=DIR

Table 4's columns of 512 and 2k: --config.batch_size=512 or 2048 (the peak rate follows by itself).

Hardware: one accelerator with memory for 8,192 images a step, or several with --strategy=mirrored;
200 epochs are 1,200 updates and about 33 PFLOP. Not yet run in full by us.
Expected test accuracy (the paper's, last epoch): no_bias 94.49, bn_frozen 94.64,
gamma_frozen 94.47, gamma 94.46, beta_frozen 94.87, beta 94.90, adaptive 95.01; no_bias at batch
512: 95.12, at 2k: 94.59.
"""

from configs import common


def get_config(variant="adaptive"):
    """The experiment, with the decay of a variant."""
    return common.vary(common.lamb("cifar10_resnet18"), variant)
