"""Functions without arguments that do one update, under Keras' backend."""

import keras

from tools.benchmarks import kernels


def variables_of(shapes):
    """Keras variables with these paths and shapes, and a gradient for each."""
    found = []
    for path, shape in shapes:
        prefix, leaf = path.rsplit("/", 1)
        with keras.name_scope(prefix):
            found.append(keras.Variable(keras.ops.full(shape, 0.05), name=leaf))
    return found, [keras.ops.full(shape, 0.01) for _, shape in shapes]


def update(optimizer, shared, gradients, jit):
    """A function that does one update of variables, which several cases may share.

    Args:
        optimizer: a Keras optimizer that is not built yet.
        shared: the variables.
        gradients: a tensor for each variable.
        jit: whether XLA compiles the whole update; under JAX it always does.
    """
    optimizer.build(shared)
    if keras.backend.backend() == "jax":
        return _jax(optimizer, shared, gradients)
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # or it warns of retracing, as if all were one function

    @tf.function(jit_compile=jit, autograph=False)
    def update():
        optimizer.apply(gradients, shared)

    update.figures_now = lambda: kernels.count(update)
    return update


def _jax(optimizer, shared, gradients):
    import jax

    # Copies, because donated arrays are gone after the call.
    values = [jax.numpy.array(v.value) for v in shared]
    state = [values, [jax.numpy.array(v.value) for v in optimizer.variables]]
    step = jax.jit(
        lambda values, state, gradients: optimizer.stateless_apply(state, gradients, values),
        donate_argnums=(0, 1),
    )

    def update():
        state[:] = step(*state, gradients)
        jax.block_until_ready(state)

    def figures_now():
        text = step.lower(*state, gradients).compile().as_text()
        return {"XLA kernels": kernels.instructions(text)}

    update.figures_now = figures_now
    return update


def read_and_write(shared):
    """A function that reads, joins, splits and writes the variables, as every joint update must."""
    import tensorflow as tf

    values = [v.value for v in shared]
    sizes = [v.shape.num_elements() for v in values]

    @tf.function(autograph=False)
    def read_and_write():
        flat = tf.concat([tf.reshape(v.value(), [-1]) for v in values], 0) * 1.0001
        for v, part in zip(values, tf.split(flat, sizes), strict=True):
            v.assign(tf.reshape(part, v.shape))

    return read_and_write


def copy(count, chunk=2**21):
    """A function that reads and writes this many floats once, in chunks."""
    ops = keras.ops
    sizes = [chunk] * (count // chunk) + [count % chunk]
    if keras.backend.backend() == "jax":
        import jax

        held = [[jax.numpy.ones(size) for size in sizes]]
        double = jax.jit(lambda arrays: [a * 1.0001 for a in arrays], donate_argnums=0)

        def copy():
            held[0] = jax.block_until_ready(double(held[0]))

        return copy
    import tensorflow as tf

    pairs = [[tf.Variable(ops.ones(size)) for _ in "ab"] for size in sizes]

    @tf.function(autograph=False)
    def copy():
        for a, b in pairs:
            b.assign(a * 1.0001)

    return copy
