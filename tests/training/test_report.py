"""The end of a run: numbers from the optimizer's state, warnings where they mean less."""

import io
import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

import tf_bdecay
from tests.training.small import digits, trainer
from tf_bdecay.training import report


def mechanism_of(policy, beta=None, rate=0.02, epochs=2):
    made = trainer(tf_bdecay.Lamb(rate, weight_decay=policy))
    if beta is not None:
        for variable in made.trainable_variables:
            if variable.path.endswith("beta"):
                variable.assign(np.full(8, beta))
    x, y = digits()
    made.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    return made, report.mechanism(made.optimizer, made.trainable_variables)


def test_root_mean_square_is_over_elements():
    arrays = [np.array([3.0]), np.array([[4.0, 0.0]]), np.zeros(0)]
    assert report.root_mean_square(arrays) == pytest.approx(math.sqrt(25 / 3))
    assert math.isnan(report.root_mean_square([]))


def test_the_mechanism_of_fixed_decay():
    made, found = mechanism_of(tf_bdecay.decay.AdaptiveBetaDecay(threshold=0.0))
    assert found["updates"] == 8
    assert found["learning_rate_sum"] == pytest.approx(8 * 0.02, rel=1e-5)
    assert found["decay_on_fraction"] == 1.0
    assert set(found["layers"]) == {"norm_1", "norm_2"}
    betas = np.concatenate([v.numpy() for v in made.trainable_variables if v.path.endswith("beta")])
    assert found["beta_rms"] == pytest.approx(math.sqrt(np.mean(betas**2)), rel=1e-5)
    assert found["gamma_rms"] == pytest.approx(1.0, abs=0.2)


def test_nothing_is_said_where_all_is_well():
    layers = {"a": {"beta_rms": 0.1}, "b": {"beta_rms": 0.1}}
    result = dict(layers=layers, switches=3, decay_on_fraction=0.4, skipped_updates=0)
    assert report.warnings_of(result, adaptive=True) == []


def test_a_beta_that_never_moved_is_said():
    _, found = mechanism_of(tf_bdecay.decay.NoBiasDecay(0.01), rate=1e-7)
    (sentence,) = report.warnings_of(found, adaptive=False)
    assert sentence.startswith("beta never moved")


def test_one_still_layer_is_named():
    layers = {"a": {"beta_rms": 0.0}, "b": {"beta_rms": 0.1}}
    result = dict(layers=layers, switches=3, decay_on_fraction=0.4, skipped_updates=0)
    (sentence,) = report.warnings_of(result, adaptive=True)
    assert sentence.startswith("beta of a never moved")


@pytest.mark.parametrize("threshold, state", [(0.0, "on"), (math.inf, "off")])
def test_decay_that_never_switched_is_said(threshold, state):
    _, found = mechanism_of(tf_bdecay.decay.AdaptiveBetaDecay(threshold=threshold), beta=0.1)
    found["switches"] = 0 if threshold else found["switches"]
    sentences = report.warnings_of({**found, "switches": 0}, adaptive=True)
    assert any(f"was {state} in every layer at every update" in s for s in sentences)
    assert not any("switched" in s for s in report.warnings_of(found, adaptive=False))


def test_skipped_updates_are_said():
    result = dict(layers={}, switches=0, decay_on_fraction=math.nan, skipped_updates=4)
    assert report.warnings_of(result, adaptive=False) == [
        "4 updates were skipped: gradients not finite."
    ]


def printed(result):
    page = io.StringIO()
    Console(file=page, width=120).print(report.render(result))
    return page.getvalue()


def test_the_table_has_every_figure():
    _, found = mechanism_of(tf_bdecay.decay.AdaptiveBetaDecay())
    page = printed({**found, "test_accuracy": 0.9812, "test_loss": 0.1, "warnings": ["Look out."]})
    for part in ("98.12%", "sum of eta", "RMS of beta", "layer-updates", "norm_2", "Look out."):
        assert part in page


def test_a_network_without_normalization_has_a_shorter_table():
    result = dict(
        test_accuracy=0.5, test_loss=1.0, updates=3, learning_rate_sum=0.1, layers={}, warnings=[]
    )
    assert "beta" not in printed(result)


@pytest.mark.parametrize("threshold", [0.1, 0.0, math.inf, None])
@pytest.mark.parametrize("paired", [True, False])
def test_curves_are_drawn(tmp_path, threshold, paired):
    epochs = pd.DataFrame(
        dict(epoch=[1, 2], loss=[2, 1], accuracy=[0.1, 0.5], test_loss=[math.nan, 1])
    ).assign(test_accuracy=[math.nan, 0.6])
    rows = [(10, "a", 0.0, 0), (10, "b", math.inf, 1), (20, "a", 0.2, 1), (20, "b", 0.05, 0)]
    layers = pd.DataFrame(rows if paired else [], columns=["update", "layer", "r", "decay_on"])
    report.draw(tmp_path / "curves.png", epochs, layers, "test", threshold)
    with Image.open(tmp_path / "curves.png") as image:
        assert image.size == (1320, 840)
        assert len(np.unique(np.asarray(image.convert("L")))) > 10
