"""Rows and scalars that are made from a decision have its values."""

import numpy as np
import pytest

import tf_bdecay
from tests.optim import problem
from tf_bdecay import decay
from tf_bdecay.callbacks import decisions

pytestmark = pytest.mark.any_backend


def updated(**options):
    variables = problem.make_variables(problem.initial())
    optimizer = tf_bdecay.Lamb(0.01, compile_update=False, **options)
    gradient = problem.gradients(1)[0]
    thetas = problem.values(variables)
    problem.apply(optimizer, variables, gradient)
    products = zip(thetas, gradient.values(), strict=True)
    return optimizer, {k: np.abs(t * g).sum() for k, (t, g) in zip(gradient, products, strict=True)}


def test_rows_of_layers_have_their_own_sharpness():
    optimizer, c = updated()
    rows = decisions.layer_rows(optimizer, optimizer.decision())
    assert [tuple(row) for row in rows] == [decisions.LAYER_COLUMNS] * 2
    assert [row["layer"] for row in rows] == [*problem.PAIRS]
    for row in rows:
        layer = row["layer"]
        assert row["C_gamma"] == pytest.approx(c[f"{layer}/gamma"], rel=1e-4)
        assert row["r"] * row["C_gamma"] == pytest.approx(row["C_beta"], rel=1e-4)
        assert row["decay_on"] == int(row["r"] >= 0.1)


def test_rows_of_variables_are_empty_where_there_is_nothing():
    optimizer, c = updated(gradient_norms=True)
    decision = optimizer.decision()
    for norms in (decision.gradient_norm, None):
        rows = decisions.variable_rows(optimizer, decision._replace(gradient_norm=norms))
        assert {row["variable"]: pytest.approx(row["C"], rel=1e-4) for row in rows} == c
        adapted = [row["variable"] for row in rows if "trust_ratio" in row]
        assert adapted == ["conv/kernel", "wide/kernel", "head/kernel"]
        assert all(("gradient_norm" in row) == (norms is not None) for row in rows)
        assert all({*row} <= {*decisions.VARIABLE_COLUMNS} for row in rows)


def test_a_share_of_decay_is_of_the_updates_that_decided():
    optimizer, _ = updated(weight_decay=decay.AdaptiveBetaDecay(threshold=0.2))
    variables, on = optimizer.roles.keras_variables, [optimizer.decision().decay_on]
    begin = optimizer.totals()
    for i, gradient in enumerate(problem.gradients(5)):
        if i == 2:
            gradient = {name: g * np.nan for name, g in gradient.items()}
        problem.apply(optimizer, variables, gradient)
        if i != 2:
            on.append(optimizer.decision().decay_on)
    end = optimizer.totals()
    np.testing.assert_allclose(decisions.decay_share(end), np.mean(on, 0))
    np.testing.assert_allclose(decisions.decay_share(end, begin), np.mean(on[1:], 0))
    np.testing.assert_array_equal(decisions.decay_share(end, end), [0, 0])


@pytest.mark.parametrize("threshold", [0.2, np.inf])
def test_scalars_add_up_by_kind_and_are_described(threshold):
    policy = decay.AdaptiveBetaDecay(threshold=threshold)
    optimizer, c = updated(weight_decay=policy, gradient_norms=True)
    kinds = [name.rpartition("/")[2] for name in problem.SHAPES]
    found = decisions.scalars(optimizer, optimizer.decision(), kinds)
    gammas = c["norm/gamma"] + c["wide_norm/gamma"]
    assert found["C/gamma"] == pytest.approx(gammas, rel=1e-4)
    assert found["C/Total"] == pytest.approx(sum(c.values()), rel=1e-4)
    assert found.get(decisions.THRESHOLD_TAG, np.inf) == threshold
    on = [found[f"decay_on/{layer}"] for layer in problem.PAIRS]
    assert found["decay_on_fraction"] == np.mean(on)
    assert all(decisions.describe_tag(tag) for tag in found)
    assert decisions.describe_tag("loss") == ""
