"""How decisions and counts are made, read and written."""

import numpy as np
import pytest

import tf_bdecay
from tests.optim import problem
from tf_bdecay import decay
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


def made(cls=tf_bdecay.Lamb, **options):
    variables = problem.make_variables(problem.initial())
    return cls(0.01, compile_update=False, **options), variables


def test_set_decision_is_what_updates_apply():
    policy = decay.AdaptiveBetaDecay(source="probe")
    optimizer, variables = made(weight_decay=policy)
    gradient = problem.gradients(1)[0]
    with pytest.raises(BadInput, match="ProbeDecision"):
        problem.apply(optimizer, variables, gradient)
    optimizer.set_decision([True, False], [3.0, 0.01])
    problem.apply(optimizer, variables, gradient)
    optimizer.set_decision([False, False])
    problem.apply(optimizer, variables, gradient)
    np.testing.assert_array_equal(optimizer.decision().bias_ratio, np.float32([3.0, 0.01]))
    np.testing.assert_array_equal(optimizer.totals()["decay_on_updates"], [1, 0])
    np.testing.assert_array_equal(optimizer.totals()["switches"], [1, 0])
    with pytest.raises(BadInput, match="one value for each of the 2"):
        optimizer.set_decision([True])
    with pytest.raises(BadInput, match="decides by itself"):
        made()[0].set_decision([True, False])


@pytest.mark.parametrize("cls", [tf_bdecay.Lamb, tf_bdecay.SGD])
def test_norms_of_gradients_are_kept_on_request(cls):
    """Of each variable, before clipping; nothing else of an update is other than without."""
    runs = {}
    for asked in (False, True):
        optimizer, variables = made(cls, gradient_norms=asked, global_clipnorm=0.5)
        for gradient in problem.gradients(2):
            problem.apply(optimizer, variables, gradient)
        runs[asked] = problem.values(variables), optimizer
    expected = [np.linalg.norm(g) for g in gradient.values()]
    found = runs[True][1].decision().gradient_norm
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert runs[False][1].decision().gradient_norm is None
    for without, with_them in zip(runs[False][0], runs[True][0], strict=True):
        np.testing.assert_allclose(with_them, without, rtol=1e-6)
    assert len(runs[True][1].variables) == len(runs[False][1].variables) + 1


def test_a_skipped_update_keeps_the_norms_before_it():
    optimizer, variables = made(gradient_norms=True)
    first, second = problem.gradients(2)
    problem.apply(optimizer, variables, first)
    before = optimizer.decision().gradient_norm
    second["conv/bias"] = second["conv/bias"] * np.nan
    problem.apply(optimizer, variables, second)
    np.testing.assert_array_equal(optimizer.decision().gradient_norm, before)
    assert optimizer.totals()["skipped_updates"] == 1
