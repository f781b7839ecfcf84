"""VGG11 and VGG19: parameters, pooling, and no biases before normalization."""

import keras
import numpy as np
import pytest

from tf_bdecay import models
from tf_bdecay.errors import BadInput
from tf_bdecay.layers import GhostBatchNormalization

SMALL = dict(width=2, input_shape=(8, 8, 1), num_classes=3)


def count(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def of_kind(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


@pytest.mark.parametrize(
    "make, parameters, convolutions, normalizations",
    [(models.vgg11, 9_225_610, 8, 0), (models.vgg19_bn, 20_035_018, 16, 16)],
)
def test_parameters_at_full_width(make, parameters, convolutions, normalizations):
    model = make(10)
    assert count(model) == parameters
    assert len(of_kind(model, keras.layers.Conv2D)) == convolutions
    assert len(of_kind(model, GhostBatchNormalization)) == normalizations
    assert model.get_layer("pool").input.shape == (None, 1, 1, 512)


@pytest.mark.parametrize("make", [models.vgg11, models.vgg19_bn])
@pytest.mark.parametrize("normalization", ["none", None, "ghost", "batch"])
def test_a_convolution_has_a_bias_or_a_normalization(make, normalization):
    model = make(**SMALL, normalization=normalization)
    plain = normalization in (None, "none")
    assert all(c.use_bias is plain for c in of_kind(model, keras.layers.Conv2D))
    found = len(of_kind(model, keras.layers.BatchNormalization))
    assert found == (0 if plain else len(of_kind(model, keras.layers.Conv2D)))


@pytest.mark.parametrize(
    "size, pools, left",
    [
        ((32, 32), 5, (1, 1)),
        ((8, 8), 3, (1, 1)),
        ((28, 28), 4, (1, 1)),
        ((64, 64), 5, (2, 2)),
        ((1, 1), 0, (1, 1)),
        ((16, 4), 2, (4, 1)),
    ],
)
def test_pools_that_would_leave_nothing_are_skipped(size, pools, left):
    model = models.vgg11(10, 1, (*size, 3))
    assert len(of_kind(model, keras.layers.MaxPooling2D)) == pools
    assert model.get_layer("pool").input.shape[1:3] == left


@pytest.mark.any_backend
@pytest.mark.parametrize("make", [models.vgg11, models.vgg19_bn])
@pytest.mark.slow_elsewhere
def test_one_update_changes_every_parameter(make):
    model = make(**{**SMALL, "width": 8}, seed=0, **_ghost(make))
    before = [v.numpy() for v in model.trainable_variables]
    model.compile(
        optimizer=keras.optimizers.SGD(0.1),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    x = np.random.default_rng(0).normal(size=(8, 8, 8, 1)).astype("float32")
    model.fit(x, np.arange(8) % 3, batch_size=8, epochs=1, verbose=0)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert np.abs(variable.numpy() - old).max() > 0, variable.path


def _ghost(make):
    return dict(ghost_batch_size=4) if make is models.vgg19_bn else {}


def test_variables_are_named_by_stage_and_place():
    paths = [v.path for v in models.vgg19_bn(**SMALL).trainable_variables]
    assert paths[:2] == ["stage1_conv1/kernel", "stage1_bn1/gamma"]
    assert "stage5_bn4/beta" in paths and paths[-1] == "logits/bias"
    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize("argument", [dict(center=False), dict(bn_momentum=0.5), dict(scale=False)])
def test_what_has_no_effect_is_refused(argument):
    with pytest.raises(BadInput, match="no effect"):
        models.vgg11(**SMALL, **argument)
    models.vgg19_bn(**SMALL, **argument)


@pytest.mark.any_backend
def test_bad_arguments_are_refused():
    for arguments, sentence in [
        (dict(width=0), "`width` of vgg11"),
        (dict(input_shape=(8, 8, 0)), "`input_shape` of vgg11"),
        (dict(normalization="bacth"), "did you mean 'batch'"),
    ]:
        with pytest.raises(BadInput, match=sentence):
            models.vgg11(**{**SMALL, **arguments})
