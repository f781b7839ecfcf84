"""The config file of a reproduced run: `config.py:OPTIMIZER-MODEL-DATASET-VARIANT`.

python main.py --config=tools/reproducing/config.py:lamb-resnet18-cifar100-no_bias
"""

from configs import common
from tools.reproducing.scales import IMAGENET


def get_config(spec="lamb-resnet18-digits-no_bias"):
    """The experiment of four names, before any override."""
    optimizer, model, dataset, variant = spec.split("-")
    if dataset == IMAGENET:
        return common.imagenet("reproduce", model, variant)
    config = getattr(common, optimizer)("reproduce", model)
    config.data.name = dataset
    return common.vary(config, variant)
