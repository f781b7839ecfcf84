"""Models: ResNet18 and VGG for small images, built by name or by function."""

from tf_bdecay.models.blocks import Options
from tf_bdecay.models.registry import build, names
from tf_bdecay.models.resnet import resnet18
from tf_bdecay.models.vgg import vgg11, vgg19_bn

__all__ = ["Options", "build", "names", "resnet18", "vgg11", "vgg19_bn"]
