"""Models: ResNet18, ResNet50, ResNet50-D and VGG, built by name or by function."""

from tf_bdecay.models.blocks import Options
from tf_bdecay.models.registry import build, names
from tf_bdecay.models.resnet import resnet18, resnet50, resnet50_d
from tf_bdecay.models.vgg import vgg11, vgg19_bn

__all__ = [
    "Options",
    "build",
    "names",
    "resnet18",
    "resnet50",
    "resnet50_d",
    "vgg11",
    "vgg19_bn",
]
