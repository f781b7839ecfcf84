"""Sorts variables into the kinds of Table 2: convolution, gamma, beta and fully connected."""

import keras

from tf_bdecay.frameworks import keras_private

_CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)
_FULLY_CONNECTED = (keras.layers.Dense, keras.layers.EinsumDense)

KINDS = ("Conv", "Conv(b)", "gamma", "beta", "FC(w)", "FC(b)", "other")


def kinds_of(model, roles):
    """Kind of every variable that has a role.

    Table 2 has Conv, gamma, beta, FC(w) and FC(b), as its network's convolutions have no bias. We
    add "Conv(b)" for such biases and "other" for all else (embeddings, kernels of custom layers).

    Args:
        model: the Keras model whose variables they are.
        roles: `Roles` of its trainable variables, or of those that an optimizer was built with.

    Returns:
        List of names out of `KINDS`, in the order of the roles.
    """
    owner = {
        id(variable): layer
        for layer in keras_private.layers_of(model)
        for variable in keras_private.own_trainable_variables(layer)
    }
    return [
        _kind(role.role, owner.get(id(variable)))
        for role, variable in zip(roles.variables, roles.keras_variables, strict=True)
    ]


def _kind(role, layer):
    if role in ("gamma", "beta"):
        return role
    if role in ("kernel", "bias") and isinstance(layer, _CONVOLUTIONS):
        return "Conv" if role == "kernel" else "Conv(b)"
    if role in ("kernel", "bias") and isinstance(layer, _FULLY_CONNECTED):
        return "FC(w)" if role == "kernel" else "FC(b)"
    return "other"
