"""Models are built by name."""

import numpy as np
import pytest

from tf_bdecay import models
from tf_bdecay.errors import BadInput


def test_every_name_builds_the_function_of_that_name():
    assert models.names() == ["resnet18", "resnet50", "resnet50_d", "vgg11", "vgg19_bn"]
    for name in models.names():
        arguments = dict(num_classes=4, width=2, input_shape=(8, 8, 1), seed=0)
        built = models.build(name, **arguments)
        direct = getattr(models, name)(**arguments)
        assert built.name == name and built.output_shape == (None, 4)
        for a, b in zip(built.get_weights(), direct.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_name_for_the_model_itself():
    assert models.build("vgg11", width=1, name="mine").name == "mine"


@pytest.mark.any_backend
def test_misspelt_names_get_the_nearest():
    with pytest.raises(BadInput, match="did you mean 'resnet18'"):
        models.build("resnet-18")
    with pytest.raises(BadInput, match="argument of vgg11 'widht': did you mean 'width'"):
        models.build("vgg11", widht=3)
