import numpy as np
import tensorflow as tf

from tf_bdecay.sharpness.per_example import map_over_examples


def mapped(function, *arrays):
    @tf.function(autograph=False)
    def run(*tensors):
        return map_over_examples(function, tensors)

    return run, run(*map(tf.constant, arrays))


def operations(run, *arrays):
    specs = [tf.TensorSpec(a.shape, a.dtype) for a in arrays]
    return {op.type for op in run.get_concrete_function(*specs).graph.get_operations()}


def test_values_are_those_of_single_examples():
    x, y = np.arange(12.0).reshape(4, 3), np.arange(4.0)
    run, (sums, scaled) = mapped(lambda e: (tf.reduce_sum(e[0]), e[0] * e[1]), x, y)
    np.testing.assert_allclose(sums, x.sum(1))
    np.testing.assert_allclose(scaled, x * y[:, None])
    assert not any("While" in kind for kind in operations(run, x, y))


def test_products_that_oneDNN_gets_wrong_run_one_by_one():
    """Written out of bounds, this product aborts the process within a few hundred runs."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(13, 3, 4)).astype("float32"), rng.normal(size=(4, 16))
    weight = tf.constant(w.astype("float32"))
    run, products = mapped(lambda e: tf.raw_ops.BatchMatMulV2(x=e[0][None], y=weight), x)
    np.testing.assert_allclose(products[:, 0], x @ w, rtol=1e-4, atol=1e-5)
    for _ in range(500):
        run(tf.constant(x))
    assert any("While" in kind for kind in operations(run, x))
