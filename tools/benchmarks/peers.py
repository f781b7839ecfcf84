"""Cases that run in a process, an environment or a backend of their own."""

import pathlib

from tools.benchmarks import variables
from tools.benchmarks.processes import megabytes


def serve_case(problem, peer, memory=False):
    """The function that does one update: of "addons", "optax", or a case of `optimizer`."""
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
    """A call that tells the peak memory of all calls so far above what there was before the first.

    The allocator keeps what it once had, so that a later call shows nothing.
    """
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of building
    before = megabytes("VmRSS")

    def watched():
        call()
        watched.figures = {"MB": round(megabytes("VmHWM") - before)}

    watched.figures = {}
    return watched
