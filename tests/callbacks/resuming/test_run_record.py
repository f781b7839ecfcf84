"""The record that identifies a run: the same for the same program, another for another."""

import copy
import json

import keras
import numpy as np
import pytest

import tf_bdecay
from tests.callbacks.resuming.resumed import arrays, compiled, network
from tf_bdecay.callbacks.resuming.epoch_sources import source_of
from tf_bdecay.callbacks.resuming.run_record import check_same, other_versions, record_of
from tf_bdecay.errors import BadInput
from tf_bdecay.frameworks import keras_private

pytestmark = pytest.mark.any_backend


def record(model=None, batch_size=8):
    model = compiled() if model is None else model
    keras_private.build_all(model, tuple(a[:8] for a in arrays()))
    source = source_of(*arrays(), None, batch_size, 0, True, False, None)
    return json.loads(json.dumps(record_of(model, source)))


def test_the_same_program_has_the_same_record():
    for optimizer in ("adam", "lamb", "scaled"):
        check_same("there", record(compiled(optimizer)), record(compiled(optimizer)))


def loss_of_one_s_own(y, y_pred):
    return keras.ops.mean(y_pred)


@pytest.mark.parametrize(
    "make, says",
    [
        (lambda: compiled(keras.optimizers.Adam(0.02, use_ema=True, ema_momentum=0.9)), "rate is"),
        (lambda: compiled(keras.optimizers.Adam(0.01, beta_1=0.8)), "config.beta_1 is 0.9 there"),
        (lambda: compiled("lamb"), "class_name is 'Adam' there and 'Lamb' here"),
        (
            lambda: compiled("adam", keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])),
            "it has 5 layers there and 2 here",
        ),
        (
            lambda: compiled(
                "adam",
                keras.Sequential([keras.Input((6,)), *[keras.layers.Dense(3) for _ in range(4)]]),
            ),
            "its layers are of other classes there",
        ),
    ],
)
def test_another_program_has_another(make, says):
    with pytest.raises(BadInput, match=f"^The checkpoint there is of another run: .*{says}"):
        check_same("there", record(), record(make()))


def test_a_policy_inside_the_optimizer_counts():
    policies = [tf_bdecay.decay.AdaptiveBetaDecay(threshold=t) for t in (0.1, 0.2)]
    one, other = (record(compiled(tf_bdecay.Lamb(0.1, policy))) for policy in policies)
    with pytest.raises(BadInput, match="threshold is 0.1 there and 0.2 here"):
        check_same("there", one, other)


def test_other_data_and_another_loss():
    with pytest.raises(BadInput, match="batch_size is 8 there and 4 here"):
        check_same("there", record(), record(batch_size=4))
    models = [network() for _ in range(2)]
    for model, from_logits in zip(models, (True, False), strict=True):
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits))
    with pytest.raises(BadInput, match="loss.config.from_logits is True there and False here"):
        check_same("there", record(models[0]), record(models[1]))
    models[1].compile("sgd", loss_of_one_s_own)  # which can be written down, or left out
    assert record(models[1])["layers"] == record(models[0])["layers"]


def test_the_rate_of_an_optimizer_that_has_trained_is_left_out():
    """A callback may have changed it, and the same program calls `fit` again."""
    model = compiled()
    before = record(model)
    x, y = arrays()
    model.fit(x, y, verbose=0)
    model.optimizer.learning_rate = 0.5
    check_same("there", before, record(model))


def test_versions_are_said():
    here = record()
    assert other_versions(here, here) == ""
    there = copy.deepcopy(here)
    there["versions"]["numpy"] = "1.0"
    check_same("there", there, here)
    assert other_versions(there, here) == f"numpy 1.0 then and {np.__version__} now"
