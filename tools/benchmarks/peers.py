"""Cases that need a process, an environment or a backend of their own."""

import pathlib

from tools.benchmarks import variables
from tools.benchmarks.processes import megabytes


def serve_case(problem, peer, memory=False):
    """A function that does one update by "addons", "optax", or a case of `optimizer`."""
    shapes = variables.LISTS[problem]()
    if peer == "addons":
        return _addons(shapes)
    if peer == "optax":
        return _optax(shapes)
    from tools.benchmarks import optimizer

    call = optimizer.case_of(problem, peer)
    return _watched(call) if memory else call


def _addons(shapes):
    import tensorflow as tf
    import tensorflow_addons as tfa

    found = [tf.Variable(tf.fill(shape, 0.05), name=path) for path, shape in shapes]
    gradients = [tf.fill(shape, 0.01) for _, shape in shapes]
    lamb = tfa.optimizers.LAMB(1e-4, weight_decay=0.01)

    @tf.function(autograph=False)
    def update():
        lamb.apply_gradients(zip(gradients, found, strict=True))

    return update


def _optax(shapes):
    import jax
    import jax.numpy as jnp
    import optax

    parameters = [jnp.full(shape, 0.05, "float32") for _, shape in shapes]
    gradients = [jnp.full(shape, 0.01, "float32") for _, shape in shapes]
    lamb = optax.lamb(1e-4, weight_decay=0.01)
    state = [parameters, lamb.init(parameters)]

    def step(parameters, state, gradients):
        updates, state = lamb.update(gradients, state, parameters)
        return optax.apply_updates(parameters, updates), state

    jitted = jax.jit(step, donate_argnums=(0, 1))

    def update():
        state[:] = jitted(*state, gradients)
        jax.block_until_ready(state)

    return update


def _watched(call):
    """A call that reports the peak memory of all calls so far, above that before the first.

    The allocator keeps the memory it once had, so a later call alone would show nothing.
    """
    pathlib.Path("/proc/self/clear_refs").write_text(
        "5"
    )  # resets the peak, which building has raised
    before = megabytes("VmRSS")

    def watched():
        call()
        watched.figures = {"MB": round(megabytes("VmHWM") - before)}

    watched.figures = {}
    return watched
