"""What the backward pass keeps, which JAX shows: pytest.mark.any_backend, skipped elsewhere."""

import keras
import numpy as np
import pytest

from tf_bdecay.layers import normalize

pytestmark = [
    pytest.mark.any_backend,
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="reads JAX's residuals"),
]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_only_x_and_the_statistics_are_kept_for_the_backward_pass(dtype):
    import jax

    x = jax.numpy.asarray(np.random.default_rng(0).normal(size=(64, 8, 8, 4)), dtype)
    gamma, beta = np.ones(4, "float32"), np.zeros(4, "float32")

    def layer(x, gamma, beta):
        return normalize.ghost_normalize(x, gamma, beta, 32, 3, 1e-3)[0]

    _, backward = jax.vjp(layer, x, gamma, beta)
    kept = [leaf for leaf in jax.tree_util.tree_leaves(backward) if np.ndim(leaf)]
    large = [leaf for leaf in kept if leaf.size >= x.size]
    assert [(leaf.size, leaf.dtype) for leaf in large] == [(x.size, x.dtype)]
    assert sum(leaf.size for leaf in kept) <= x.size + 16 * 4
