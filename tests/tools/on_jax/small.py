"""A small run for tests of the loop under JAX, and its first updates under either backend.

python tests/tools/on_jax/small.py OPTIMIZER OUT.npz UPDATES     without TensorFlow, in float64
"""

import sys

import keras
import numpy as np

from tf_bdecay.layers import GhostBatchNormalization
from tf_bdecay.training.building import parts
from tools.reproducing import config as config_file
from tools.reproducing import runs, scales


def config(optimizer="lamb", variant="adaptive", **overrides):
    """The smoke config of an arm on the digits."""
    arm = runs.Arm("digits", optimizer=optimizer, variant=variant)
    found = config_file.get_config(f"{optimizer}-resnet18-digits-{variant}")
    found.update_from_flattened_dict({**runs.overrides(arm, scales.get("smoke"), 0), **overrides})
    return found


def network(_, num_classes, image_shape):
    """In place of `parts.make_model`: two convolutions, compiled in a second or two."""
    normal = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
    x = inputs = keras.Input(image_shape)
    for i in (1, 2):
        x = keras.layers.Conv2D(
            4, 3, strides=i, use_bias=False, kernel_initializer=normal, name=f"conv{i}"
        )(x)
        x = GhostBatchNormalization(name=f"bn{i}", momentum=0.9, epsilon=1e-5)(x)
        x = keras.layers.Activation("tanh", name=f"tanh{i}")(x)  # no kink, that rounding flips
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    logits = keras.layers.Dense(num_classes, kernel_initializer=normal, name="logits")
    return keras.Model(inputs, logits(x), name="small")


def weights(model, optimizer):
    """Dict of a name to the array of everything that updates change."""
    values = {f"{i} {v.path}": np.asarray(v.value) for i, v in enumerate(model.weights)}
    own = ("sensitivity", "bias_ratio", "decay_on", "trust_ratio", "learning_rate_sum")
    return {**values, **{name: np.asarray(getattr(optimizer, name).value) for name in own}}


def _main(optimizer, out, updates):
    import jax

    from tools.reproducing.on_jax import building, feed

    jax.config.update("jax_enable_x64", True)
    keras.config.set_floatx("float64")
    parts.make_model = network
    chosen = config(optimizer)
    chosen.precision = "float64"
    building.TAKEN["precision"] = ("float64",)
    run = building.build(chosen)
    state, pixels = run.steps.state(), feed.pixels(run.images)
    for epoch in range(updates // run.size.updates_per_epoch):
        choices = feed.choices(run.images, chosen.batch_size, chosen.seed, epoch)
        state, _ = run.steps.epoch(state, pixels, choices)
    run.steps.give_back(state)
    np.savez(out, **weights(run.model, run.optimizer))


if __name__ == "__main__":
    sys.modules["tensorflow"] = None  # any import of it fails
    _main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    assert sys.modules["tensorflow"] is None
