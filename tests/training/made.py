"""Makes the config of a small run."""

from configs import digits_resnet18
from tf_bdecay.training.config.checks import check


def config_of(**changes):
    config = digits_resnet18.get_config()
    changes = {
        "batch_size": 352,
        "epochs": 1,
        "model.width": 4,
        "decay.threshold": 0.02,
        "log.summaries_every": 2,
        **changes,
    }
    config.update_from_flattened_dict(changes)
    check(config)
    return config
