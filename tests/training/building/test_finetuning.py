"""Frozen layers: which they are, what stays unchanged, and what the optimizer knows about them."""

import keras
import numpy as np
import pytest

import tf_bdecay
from configs import digits_resnet18
from tests.training.small import digits, network
from tf_bdecay import models
from tf_bdecay.errors import BadInput
from tf_bdecay.training.building import finetuning, parts
from tf_bdecay.training.building.losses import SmoothedCrossentropy
from tf_bdecay.training.config.checks import check
from tf_bdecay.training.step.trainer import Trainer


@pytest.fixture(scope="module")
def resnet():
    return models.build("resnet18", width=4, num_classes=10, input_shape=(8, 8, 1))


def thaw(model):
    for layer in model.layers:
        layer.trainable = True


@pytest.mark.parametrize(
    "text, frozen",
    [
        ("stem", ["stem_conv", "stem_bn"]),
        ("stem, logits", ["stem_conv", "stem_bn", "logits"]),
        (".*_shortcut_bn", [f"stage{i}_block1_shortcut_bn" for i in (2, 3, 4)]),
        ("stage1_block1", [f"stage1_block1_{kind}{i}" for i in (1, 2) for kind in ("conv", "bn")]),
        ("stage1_block1_conv[12]", ["stage1_block1_conv1", "stage1_block1_conv2"]),
    ],
)
def test_a_stage_or_a_pattern_freezes_its_layers_and_no_others(resnet, text, frozen):
    thaw(resnet)
    before = [v.path for v in resnet.variables]
    finetuning.freeze(resnet, text)
    assert [layer.name for layer in finetuning.frozen(resnet)] == frozen
    trained = {v.path.split("/")[0] for v in resnet.trainable_variables}
    assert trained == {path.split("/")[0] for path in before} - set(frozen)
    assert [v.path for v in resnet.variables] == before  # by which checkpoints name them


@pytest.mark.parametrize(
    "text, said",
    [
        ("stage9", "'stage9' in config.finetune.frozen matches no layer with weights; the stages"),
        ("stem,relu", "'relu' in config.finetune.frozen matches no layer"),
        ("stem_relu", "matches no layer with weights"),  # it is a layer, and has none
        ("stem_conv/kernel", "matches no layer"),
        ("(", "must be a regular expression"),
        (".*", "freezes all 41 layers: leave one to train, such as logits"),
    ],
)
def test_a_pattern_without_effect_is_refused(resnet, text, said):
    thaw(resnet)
    with pytest.raises(BadInput) as caught:
        finetuning.freeze(resnet, text)
    assert said in str(caught.value), str(caught.value)


def test_adaptive_decay_needs_a_normalization_layer_that_trains():
    config = digits_resnet18.get_config()
    config.update({"model": {"width": 4}, "finetune": {"frozen": ".*bn.*"}})
    with pytest.raises(BadInput, match="frozen=.* start from the variant no_bias or bias, or leav"):
        parts.make_model(config, 10, (8, 8, 1))
    config.finetune.frozen = "stage.*bn.*"
    parts.make_model(config, 10, (8, 8, 1))
    config = digits_resnet18.get_config("no_bias")
    config.update({"model": {"width": 4}, "finetune": {"frozen": ".*bn.*"}})
    parts.make_model(config, 10, (8, 8, 1))


def test_the_config_freezes_and_the_words_say_it():
    config = digits_resnet18.get_config()
    config.model.width = 4
    config.finetune.frozen = "stem,stage1"
    check(config)

    model = parts.make_model(config, 10, (8, 8, 1))
    words = finetuning.words(model)
    count = sum(v.numpy().size for layer in finetuning.frozen(model) for v in layer.weights)
    assert words.startswith("10 layers (stem_conv, stem_bn, ..., stage1_block2_bn2) with ")
    assert f"with {count:,} parameters are not trained; 5 of them normalize by" in words
    table = str(tf_bdecay.describe(model))
    assert "stage2_block1_bn1/gamma" in table and "stem" not in table and "stage1" not in table
    thaw(model)
    assert finetuning.words(model) == ""


def fit(text, micro_batch_size=None):
    """The network before and after two updates, some of it frozen."""
    keras.utils.set_random_seed(0)
    model = network()
    model.get_layer("norm_1").moving_mean.assign(np.full(8, 0.1))
    finetuning.freeze(model, text)
    made = Trainer.of(model)
    made.compile(
        tf_bdecay.Lamb(0.02), SmoothedCrossentropy(), jit_compile=False,
        micro_batch_size=micro_batch_size,
    )  # fmt: skip
    before = {v.path: v.numpy() for v in model.weights}
    x, y = digits(128)
    made.fit(x, y, batch_size=64, epochs=1, shuffle=False, verbose=0)
    return made, before, {v.path: v.numpy() for v in model.weights}


def test_what_is_frozen_stays_to_the_bit_and_all_else_moves():
    made, before, after = fit("conv_1,norm_1")
    still = {path for path in before if np.array_equal(before[path], after[path])}
    assert still == {path for path in before if path.split("/")[0] in ("conv_1", "norm_1")}
    roles = made.optimizer.roles
    assert {v.path for v in roles.variables} == before.keys() - still - {
        "norm_2/moving_mean", "norm_2/moving_variance",
    }  # fmt: skip
    assert [pair.layer for pair in roles.pairs] == ["norm_2"]
    layer, x = made.get_layer("norm_1"), np.random.default_rng(0).normal(size=(32, 8, 8, 8))
    np.testing.assert_array_equal(layer(x, training=True), layer(x, training=False))


@pytest.mark.slow
def test_micro_batches_make_the_same_update_of_a_frozen_network():
    _, _, whole = fit("norm_1")
    _, _, cut = fit("norm_1", micro_batch_size=16)
    for path, value in whole.items():
        np.testing.assert_allclose(cut[path], value, rtol=0, atol=2e-4, err_msg=path)
