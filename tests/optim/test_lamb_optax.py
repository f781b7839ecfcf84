"""LAMB against an implementation of other people, where both mean the same by it."""

import numpy as np
import pytest

from tools.parity import lamb_cases, lamb_here

pytestmark = pytest.mark.any_backend

pytest.importorskip("optax")

CASES = [case for case in lamb_cases.CASES if not lamb_cases.excluded(case)[1]]


@pytest.mark.parametrize("case", CASES)
def test_change_of_theta_equals_optax(case):
    ours = lamb_here.our_changes(case, "float32")
    theirs = lamb_here.optax_changes(case, "float32")
    # optax takes 1 - 0.999^t naively, which alone is off by 1e-5 in float32.
    assert lamb_cases.largest_difference(ours, theirs) < 5e-5


@pytest.mark.parametrize("case", CASES)
def test_change_of_theta_equals_optax_in_double_precision(case):
    import keras

    if keras.backend.backend() == "jax":
        pytest.skip("JAX computes in float64 only if its whole process does")
    ours = lamb_here.our_changes(case, "float64")
    theirs = lamb_here.optax_changes(case, "float64")
    assert lamb_cases.largest_difference(ours, theirs) < 1e-10


def test_the_comparison_tells_decay_inside_from_decay_outside():
    """At weight 0.01 a wrong place of the decay shows far above the tolerance."""
    inside = lamb_here.our_changes("full decay 0.01, all adapted", "float32")
    without = lamb_here.our_changes("no decay, all adapted", "float32")
    outside = {
        path: change - lamb_cases.RATE * 0.01 * lamb_cases.UPDATES * theta
        for (path, theta), change in zip(
            lamb_cases.arrays()[0].items(), without.values(), strict=True
        )
    }
    assert np.isfinite(lamb_cases.largest_difference(inside, outside))
    assert lamb_cases.largest_difference(inside, outside) > 1e-4
