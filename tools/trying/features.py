"""The features to try: each is a function of a `Subject` that returns a remark for the page.

It raises `BadInput`, in a sentence, if the package refuses, and any other exception if it fails.
"""

import contextlib
import pathlib
import tempfile

import keras
import numpy as np

import tf_bdecay
from tf_bdecay import callbacks, decay
from tf_bdecay.errors import BadInput
from tf_bdecay.frameworks import keras_private

BATCH = 4
REPLICAS = 2


def policy(model):
    """Adaptive beta decay, or decay of kernels only if no layer has a beta to decay."""
    pairs = tf_bdecay.roles_of(model).pairs
    return decay.AdaptiveBetaDecay() if pairs else decay.NoBiasDecay()


def compiled(subject, model=None, optimizer=None, **options):
    """The subject's model, compiled without XLA, which takes minutes for the large ones."""
    model = subject.make() if model is None else model
    options = {"jit_compile": False, **options}

    def make_optimizer():
        return optimizer() if optimizer else tf_bdecay.Lamb(0.01, policy(model))

    if subject.compile is not None:
        subject.compile(model, make_optimizer, subject.loss, **options)
    else:
        model.compile(make_optimizer(), subject.loss, **options)
    return model


def fit(subject, model, data=None, epochs=1, **options):
    """Trains the model and returns the losses, which must be finite."""
    if data is None:
        data, options["batch_size"] = subject.x, BATCH
        options["y"] = subject.y
    history = model.fit(data, epochs=epochs, shuffle=False, verbose=0, **options).history
    assert np.isfinite(history["loss"]).all(), f"losses {history['loss']}"
    return history["loss"]


def moved(model, before):
    """Checks that training changed most weights; some may have no gradient."""
    changed = [
        np.any(np.asarray(v) != b) for v, b in zip(model.trainable_variables, before, strict=True)
    ]
    assert np.mean(changed) > 0.5, f"{sum(changed)} of {len(changed)} weights moved"


def try_fit(subject):
    """Trains for two epochs: losses and every C must be finite, and weights must change."""
    keras.utils.set_random_seed(0)
    model = compiled(subject)
    before = [np.array(v) for v in model.trainable_variables]
    fit(subject, model, epochs=2)
    moved(model, before)
    if not tf_bdecay.roles_of(model).pairs:
        return "no pairs: NoBiasDecay"
    decision = model.optimizer.decision()
    assert np.isfinite(decision.sensitivity).all(), "a C that is not finite"
    return f"{len(decision.layers)} pairs"


def try_describe(subject):
    """Describes the model: there must be a line for each trainable variable."""
    model = subject.make()
    said = str(tf_bdecay.describe(model, policy(model)))
    lines = [line for line in said.splitlines() if line.strip()]
    count = len(model.trainable_variables)
    assert len(lines) >= count, f"{len(lines)} lines for {count} variables"
    return ""


def try_save(subject):
    """Saves and loads between two epochs: the weights must be those of an uninterrupted run."""
    or_as_keras(lambda optimizer: goes_on(subject, optimizer))
    return ""


class AsKeras(Exception):
    """A failure that an optimizer of Keras shares."""


def or_as_keras(try_it):
    """Calls a function with None for our optimizer; if it fails, also with one of Keras' own."""
    try:
        try_it(None)
    except BadInput:
        raise
    except Exception:
        try:
            try_it(keras.optimizers.Adam)
        except Exception as error:
            lines = str(error).split("\n\n")[0].split("\n")
            raise AsKeras(f"{type(error).__name__}: {' '.join(lines).strip()[:200]}") from None
        raise


def goes_on(subject, optimizer=None):
    """Checks that saving and loading between two epochs changes no result."""
    ends = []
    for stopped in (False, True):
        keras.utils.set_random_seed(0)
        model = compiled(subject, optimizer=optimizer)
        fit(subject, model)
        if stopped:
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder, "model.keras")
                model.save(path)
                model = keras.saving.load_model(path)
        fit(subject, model)
        ends.append([np.array(v) for v in model.trainable_variables])
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def try_precision(subject):
    """Trains under the policy `mixed_bfloat16`."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        or_as_keras(lambda kind: fit(subject, compiled(subject, optimizer=kind), epochs=2))
    finally:
        keras.config.set_dtype_policy("float32")
    return ""


def try_mirrored(subject):
    """Trains on two replicas, whose copies must stay equal."""
    import tensorflow as tf

    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(REPLICAS)])
    with strategy.scope():
        model = compiled(subject)
    fit(subject, model, epochs=2)
    for variable in model.trainable_variables:
        first, *others = strategy.experimental_local_results(variable.value)
        for copy in others:
            np.testing.assert_array_equal(first.numpy(), copy.numpy(), variable.path)
    return ""


def try_micro_batches(subject):
    """Trains with two micro-batches per update, with ghost batches in place of batch statistics."""
    model, said = subject.make(), ""
    norm = keras.layers.BatchNormalization
    if any(isinstance(layer, norm) for layer in keras_private.layers_of(model)):
        with contextlib.suppress(BadInput):  # then the Trainer judges the model as it is
            model, said = tf_bdecay.ghostify(model, ghost_batch_size=2), "ghostified"
    trainer = tf_bdecay.Trainer.of(model)
    fit(subject, compiled(subject, trainer, micro_batch_size=BATCH // 2), epochs=2)
    return said


def try_sharpness(subject):
    """Measures C on all examples."""
    keras.utils.set_random_seed(0)
    found = tf_bdecay.sharpness.connectivity(subject.make(), subject.loss, (subject.x, subject.y))
    assert np.isfinite(found.shares).all() and found.total > 0, f"C {found.total}"
    return ""


def try_ghostify(subject):
    """Replaces BatchNormalization by ghost batches of 2, and trains the copy."""
    model = tf_bdecay.ghostify(subject.make(), ghost_batch_size=2)
    fit(subject, compiled(subject, model), epochs=2)
    return ""


def try_resume(subject):
    """Stops after an epoch and resumes: the weights must equal an unstopped run's, to the bit."""
    ends = []
    with tempfile.TemporaryDirectory() as folder:
        for name, runs in (("straight", [2]), ("stopped", [1, 2])):
            for epochs in runs:
                keras.utils.set_random_seed(0)
                model = compiled(subject)
                resume = callbacks.Resume(pathlib.Path(folder, name), show=False)
                data = resume.data(
                    *(part for part in (subject.x, subject.y) if part is not None),
                    batch_size=BATCH,
                    seed=0,
                )
                model.fit(data, epochs=epochs, verbose=0, callbacks=[resume])
            ends.append([np.array(v) for v in model.trainable_variables])
    for a, b in zip(*ends, strict=True):
        np.testing.assert_array_equal(a, b)
    return ""


FEATURES = {
    "fit": try_fit,
    "describe": try_describe,
    "save and go on": try_save,
    "bfloat16": try_precision,
    "mirrored": try_mirrored,
    "micro-batches": try_micro_batches,
    "sharpness": try_sharpness,
    "ghostify": try_ghostify,
    "Resume": try_resume,
}
