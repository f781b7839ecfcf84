"""Ghost batch normalization, forward and backward, compared with Keras' BatchNormalization."""

import keras

from tf_bdecay.layers import GhostBatchNormalization, normalize
from tools.benchmarks.timing import Goal, interleave

GHOST = 32
# (batch size, height and width, channels); the batches are 8, 64 and 256 ghost batches.
PROBLEMS = {
    "8x32": (256, 32, 64),
    "64x32": (2048, 16, 64),
    "256x32": (8192, 8, 64),
}
if keras.backend.backend() == "jax":  # large enough for an accelerator
    PROBLEMS["256x32_large"] = (8192, 16, 64)
_KERAS, _FUSED = "keras.layers.BatchNormalization", "TensorFlow's fused op, whole batch"
_OURS, _CLOSED = "GhostBatchNormalization", "its closed form"


def _name(problem):
    batch, size, channels = PROBLEMS[problem]
    return f"[{batch}, {size}, {size}, {channels}], {batch // GHOST} ghost batches"


GOALS = tuple(
    goal
    for problem in PROBLEMS
    for goal in (
        Goal(
            f"ghost / Keras' batch norm, graph, {problem}",
            _name(problem),
            f"{_OURS}, graph",
            f"{_KERAS}, graph",
            0.4,
        ),
        Goal(
            f"ghost / fused op, graph, {problem}",
            _name(problem),
            f"{_OURS}, graph",
            f"{_FUSED}, graph",
            1.0,
        ),
        Goal(
            f"ghost / fused op, XLA, {problem}",
            _name(problem),
            f"{_OURS}, XLA",
            f"{_FUSED}, XLA",
            0.6,
        ),
    )
)


def run(problems, repeats):
    """Rows for each problem; the reference is Keras' BatchNormalization in a graph."""
    rows = []
    for problem in problems:
        batch, size, channels = PROBLEMS[problem]
        rows += interleave(_name(problem), _cases((batch, size, size, channels)), repeats)
    return rows


def _cases(shape):
    x, upstream = (keras.random.normal(shape, seed=seed) for seed in (0, 1))
    stock, ours = keras.layers.BatchNormalization(), GhostBatchNormalization(GHOST)
    stock.build(shape)
    ours.build(shape)
    gamma, beta = keras.ops.ones(shape[-1]), keras.ops.zeros(shape[-1])
    layers = {_KERAS: stock, _OURS: ours}

    def closed_form(x):
        return normalize.ghost_normalize(x, gamma, beta, GHOST, 3, 1e-3)[0]

    if keras.backend.backend() == "jax":
        cases = {f"{name}, XLA": _jax_step(layer, x, upstream) for name, layer in layers.items()}
        return {**cases, f"{_CLOSED}, XLA": _jax_function(closed_form, x, upstream)}
    import tensorflow as tf

    def fused(x):
        return tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, epsilon=1e-3, is_training=True)[0]

    calls = {
        _KERAS: lambda x: stock(x, training=True),
        _FUSED: fused,
        _OURS: lambda x: ours(x, training=True),
        _CLOSED: closed_form,
    }
    cases = {f"{name}, graph": _step(call, x, upstream, False) for name, call in calls.items()}
    for name in list(calls)[:3]:
        cases[f"{name}, XLA"] = _step(calls[name], x, upstream, True)
    return cases


def _step(layer, x, upstream, jit):
    import tensorflow as tf

    @tf.function(jit_compile=jit, autograph=False)
    def step(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return tf.reduce_sum(tape.gradient(y, x, output_gradients=upstream)[0])

    return lambda: step(x, upstream).numpy()


def _jax_step(layer, x, upstream):
    trained = [v.value for v in layer.trainable_variables]
    kept = [v.value for v in layer.non_trainable_variables]

    def forward(x):
        return layer.stateless_call(trained, kept, x, training=True)

    return _jax_function(forward, x, upstream, has_aux=True)


def _jax_function(forward, x, upstream, has_aux=False):
    import jax

    @jax.jit
    def step(x, upstream):
        _, pullback, *_ = jax.vjp(forward, x, has_aux=has_aux)
        return keras.ops.sum(pullback(upstream)[0])

    return lambda: step(x, upstream).block_until_ready()
