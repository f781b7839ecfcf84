"""Ghost batch normalization, forward and backward, beside Keras' BatchNormalization."""

import keras
import tensorflow as tf

from benchmarks.timing import interleave
from tf_bdecay.layers import GhostBatchNormalization, normalize

GHOST = 32
# Examples (8, 64 and 256 ghost batches), height and width, channels.
PROBLEMS = {
    "8x32": (256, 32, 64),
    "64x32": (2048, 16, 64),
    "256x32": (8192, 8, 64),
}


def run(problems, repeats):
    """Rows for each problem; the reference is Keras' BatchNormalization in a graph."""
    rows = []
    for problem in problems:
        batch, size, channels = PROBLEMS[problem]
        name = f"[{batch}, {size}, {size}, {channels}], {batch // GHOST} ghost batches"
        rows += interleave(name, _cases((batch, size, size, channels)), repeats)
    return rows


def _cases(shape):
    x = tf.random.stateless_normal(shape, (0, 0))
    upstream = tf.random.stateless_normal(shape, (0, 1))
    stock, ours = keras.layers.BatchNormalization(), GhostBatchNormalization(GHOST)
    stock.build(shape)
    ours.build(shape)
    gamma, beta = tf.ones(shape[-1]), tf.zeros(shape[-1])
    layers = {
        "keras.layers.BatchNormalization": lambda x: stock(x, training=True),
        "TensorFlow's fused op, whole batch": lambda x: tf.compat.v1.nn.fused_batch_norm(
            x, gamma, beta, epsilon=1e-3, is_training=True
        )[0],
        "GhostBatchNormalization": lambda x: ours(x, training=True),
        "its closed form": lambda x: normalize.ghost_normalize(x, gamma, beta, GHOST, 3, 1e-3)[0],
    }
    cases = {f"{name}, graph": _step(layer, x, upstream, False) for name, layer in layers.items()}
    for name in list(layers)[:3]:
        cases[f"{name}, XLA"] = _step(layers[name], x, upstream, True)
    return cases


def _step(layer, x, upstream, jit):
    @tf.function(jit_compile=jit, autograph=False)
    def step(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return tf.reduce_sum(tape.gradient(y, x, output_gradients=upstream)[0])

    return lambda: step(x, upstream).numpy()
