"""Images in memory or in files, and the batches of training and evaluation as `tf.data` streams.

Only the streams need TensorFlow, which is loaded when they are first asked for; `load` does not.
"""

from tf_bdecay.frameworks import extras, lazy


def _check(name):
    if name in ("evaluation_batches", "training_batches"):
        extras.check(f"tf_bdecay.data.{name}", "tensorflow")


__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__, _check)
