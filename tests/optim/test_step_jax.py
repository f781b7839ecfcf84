"""A whole step under JAX, lowered for accelerators that are not here."""

import keras
import pytest

import tf_bdecay

pytestmark = [
    pytest.mark.any_backend,
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX lowers for other machines"),
]


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_a_step_has_static_shapes_and_sums_in_a_fixed_order(platform):
    """A scatter adds by atomic operations on a GPU, in another order in every run."""
    import jax
    from jax import export

    model = tf_bdecay.models.resnet18(width=4)
    optimizer = tf_bdecay.Lamb(0.01, global_clipnorm=1.0)
    optimizer.build(model)

    def step(weights, statistics, state, images):
        def loss(weights):
            logits, after = model.stateless_call(weights, statistics, images, training=True)
            return keras.ops.sum(logits**2), after

        gradients, statistics_after = jax.grad(loss, has_aux=True)(weights)
        return *optimizer.stateless_apply(state, gradients, weights), statistics_after

    shapes = [
        [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
            optimizer.variables,
        )
    ]
    images = jax.ShapeDtypeStruct((64, 32, 32, 3), "float32")
    text = export.export(jax.jit(step), platforms=[platform])(*shapes, images).mlir_module()
    assert "stablehlo.convolution" in text
    assert "stablehlo.scatter" not in text
    assert "tensor<?" not in text
