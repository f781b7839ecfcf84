"""Runs the LAMB of this package and that of optax on the cases, in this environment."""

import importlib.util

import keras

import tf_bdecay
from tools.parity import lamb_cases


def eagerly(optimizer, variables, gradient):
    """Applies one update from a dict of gradients in the order of the variables."""
    tensors = [
        keras.ops.convert_to_tensor(g, v.dtype)
        for g, v in zip(gradient.values(), variables, strict=True)
    ]
    optimizer.apply(tensors, variables)


def our_changes(case, dtype, apply=eagerly, **options):
    """The change of every parameter by `tf_bdecay.Lamb` after all updates of a case."""
    parameters, gradients = lamb_cases.arrays()
    variables = []
    for path, value in parameters.items():
        layer, leaf = path.split("/")
        with keras.name_scope(layer):
            variables.append(keras.Variable(value, dtype=dtype, name=leaf))
    (policy, arguments), adaptation = lamb_cases.CASES[case]
    optimizer = tf_bdecay.Lamb(
        lamb_cases.RATE,
        weight_decay=tf_bdecay.decay.get(policy, **arguments),
        layer_adaptation=adaptation,
        **options,
    )
    optimizer.build(variables)
    for t in range(lamb_cases.UPDATES):
        apply(optimizer, variables, {k: gradients[k][t] for k in parameters})
    return {
        path: keras.ops.convert_to_numpy(v.value) - parameters[path]
        for path, v in zip(parameters, variables, strict=True)
    }


def has_optax():
    """Whether optax is installed."""
    return importlib.util.find_spec("optax") is not None


def optax_changes(case, dtype):
    """The same by `optax.lamb`, which adapts every variable; None for a case that does not."""
    import jax
    import optax

    parameters, gradients = lamb_cases.arrays()
    without_decay, not_adapted = lamb_cases.excluded(case)
    if not_adapted:
        return None
    with jax.enable_x64(dtype == "float64"):
        theta = {k: jax.numpy.asarray(v, dtype) for k, v in parameters.items()}
        optimizer = optax.lamb(
            lamb_cases.RATE,
            weight_decay=lamb_cases.weight(case),
            mask={k: not k.endswith(without_decay) for k in theta} if without_decay else None,
        )

        @jax.jit
        def updated(g, state, theta):
            updates, state = optimizer.update(g, state, theta)
            return optax.apply_updates(theta, updates), state

        state = optimizer.init(theta)
        for t in range(lamb_cases.UPDATES):
            g = {k: jax.numpy.asarray(v[t], dtype) for k, v in gradients.items()}
            theta, state = updated(g, state, theta)
        return {k: v.__array__() - parameters[k] for k, v in theta.items()}
