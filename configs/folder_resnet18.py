"""ResNet18 on your own pictures.

    python main.py --config=configs/folder_resnet18.py --config.data.source=DIR

DIR has a folder per class, or train/ and val/ with such folders, or another layout that
docs/pictures.md lists. If there are no test pictures, a fifth is held out, class by class.

The peak rate is 0.04 at a batch of 1,024 and follows the batch by the square-root rule. With few
pictures, lower --config.batch_size, so that an epoch has several updates.

Hardware: a GPU, or a CPU for a few thousand pictures at --config.data.size=64.
Expected test accuracy: that of your pictures; chance is one over the number of classes.
"""

from configs import common


def get_config(variant="adaptive"):
    """The experiment, with the decay of a variant."""
    config = common.lamb("folder_resnet18", data="pictures")
    config.model.stem = "imagenet"
    config.batch_size = 1024
    config.evaluation_batch_size = 256
    config.epochs = 90
    config.learning_rate.base_batch = 1024
    config.data.least_area = 0.25
    return common.vary(config, variant)
