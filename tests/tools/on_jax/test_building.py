"""The loop under JAX builds main.py's run: on_jax/building.py."""

import itertools
import os
import pathlib
import sys

import keras
import numpy as np
import pytest

from tests.processes import running
from tests.tools.on_jax import small
from tf_bdecay import data
from tf_bdecay.errors import BadInput
from tf_bdecay.training.building import experiment, parts
from tools.reproducing import initial_weights
from tools.reproducing.on_jax import building

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    "key, value",
    [
        ("precision", "mixed_float16"),
        ("sharpness_aware.kind", "sam"),
        ("ema.momentum", 0.9),
        ("micro_batch_size", 32),
        ("data.name", "pictures"),
        ("data.remainder", "keep"),
        ("data.mixup", 0.2),
        ("data.cutmix", 1.0),
    ],
)
def test_what_the_loop_has_not_is_one_sentence(key, value):
    with pytest.raises(BadInput, match=rf"config\.{key} must be .* Received: {value}"):
        building.build(small.config(**{key: value}))


@pytest.mark.parametrize("optimizer", ["lamb", pytest.param("sgd", marks=pytest.mark.slow)])
def test_updates_are_those_of_main_and_need_no_tensorflow(optimizer, tmp_path, monkeypatch):
    """In float64, where no rounding is amplified; two epochs, in another process."""
    out, updates = tmp_path / "jax.npz", 6
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "jax"}
    script = str(ROOT / "tests/tools/on_jax/small.py")
    with running([sys.executable, script, optimizer, out, str(updates)], env=environment) as child:
        keras.config.set_floatx("float64")
        monkeypatch.setattr(parts, "make_model", small.network)
        config = small.config(optimizer)
        config.precision = "float64"
        with initial_weights.of_tensorflow():
            made = experiment.build(config)
        batches = data.training_batches(made.images, config.batch_size, config.seed)
        before = small.weights(made.trainer, made.trainer.optimizer)
        for x, y in itertools.islice(batches, updates):
            made.trainer.train_on_batch(x, y)
        theirs = small.weights(made.trainer, made.trainer.optimizer)
        assert child.wait(timeout=1200) == 0
    with np.load(out) as ours:
        assert set(ours.files) == theirs.keys() and len(theirs) > 15
        for name, value in theirs.items():
            assert name == "trust_ratio" or (value != before[name]).any() or "decay_on" in name
            # Scalars of the rule are of float32.
            np.testing.assert_allclose(ours[name], value, rtol=1e-5, atol=1e-7, err_msg=name)
