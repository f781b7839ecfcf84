"""A missing package is named in a sentence, and our extras contain what their table lists."""

import ast
import pathlib
import re
import sys

import keras
import pytest

import tf_bdecay
from tests.processes import ended
from tf_bdecay import callbacks
from tf_bdecay.errors import BadInput
from tf_bdecay.frameworks import extras

pytestmark = pytest.mark.any_backend

ROOT = pathlib.Path(__file__).resolve().parents[2]


def declared(name):
    """The packages of a list of setup.py, without their ranges."""
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return {re.match(r"[\w-]+", one)[0] for one in ast.literal_eval(node.value)}
    raise AssertionError(name)


def test_the_core_needs_keras_and_numpy_alone():
    assert declared("REQUIRES") == {"keras", "numpy"}


def test_the_extra_brings_what_the_table_names():
    assert declared("TRAIN") == set(extras.TRAIN.values())


def test_what_is_there_is_not_imported():
    code = "import sys; from tf_bdecay.frameworks import extras\n"
    code += "extras.check('x', 'pandas', 'tensorflow')\n"
    code += "print({'pandas', 'tensorflow', 'keras'} & sys.modules.keys())"
    done = ended(["-c", code])
    assert done.stdout.strip() == "set()", done.stderr


def test_another_backend_is_told_what_was_asked_for_and_what_to_set():
    if keras.backend.backend() == "tensorflow":
        extras.check_backend("Thing")
        assert tf_bdecay.Trainer
        return
    for name, asked in {
        "tf_bdecay.Trainer": lambda: tf_bdecay.Trainer,
        "AveragedWeights": callbacks.AveragedWeights(None).on_train_begin,
        "GradientNoiseScale": callbacks.GradientNoiseScale().on_train_begin,
        "ProbeDecision": callbacks.ProbeDecision(None, every=1).on_train_begin,
    }.items():
        with pytest.raises(BadInput, match=f"^{name} works with .* set KERAS_BACKEND=tensorflow"):
            asked()


def without(monkeypatch, *modules):
    """Makes modules look as if they were not installed."""
    for name in modules:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize(
    "modules, said",
    [
        (["sklearn"], "x needs scikit-learn, which is not installed: pip install 'tf_bdecay[train"),
        (["scipy", "PIL"], "x needs scipy, pillow, which are not installed"),
        (["pandas", "tensorflow"], "pip install 'tf_bdecay[cpu]', or [gpu] or [tpu]"),
    ],
)
def test_what_is_missing_is_one_sentence_that_names_the_extra(modules, said, monkeypatch):
    without(monkeypatch, *modules)
    with pytest.raises(BadInput) as raised:
        extras.check("x", "numpy", *modules)
    assert said in str(raised.value) and len(str(raised.value).splitlines()) == 1
    assert isinstance(raised.value, ImportError)  # for whoever tries and does without


@pytest.mark.parametrize(
    "name, module",
    [
        ("tf_bdecay.Trainer", "tensorflow"),
        ("tf_bdecay.data.training_batches", "tensorflow"),
        ("tf_bdecay.data.load('digits')", "sklearn"),
    ],
)
def test_names_that_need_more_say_so(name, module, monkeypatch):
    import tf_bdecay  # noqa: F401

    without(monkeypatch, module)
    with pytest.raises(extras.MissingPackage, match="which is not installed"):
        eval(name)


CORE = """
import importlib.abc, sys
class Gone(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in {gone!r}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Gone())
import keras, numpy as np, tf_bdecay
inputs = keras.Input((8,))
norm = keras.layers.BatchNormalization()(keras.layers.Dense(8, use_bias=False)(inputs))
model = tf_bdecay.ghostify(keras.Model(inputs, keras.layers.Dense(2)(norm)), ghost_batch_size=8)
model.compile(tf_bdecay.Lamb(0.01, tf_bdecay.decay.AdaptiveBetaDecay()), "mse")
print(tf_bdecay.describe(model))
log = tf_bdecay.callbacks.DecayLog(None)
model.fit(np.ones((32, 8)), np.ones((32, 2)), batch_size=16, verbose=0, callbacks=[log])
assert np.isfinite(model.optimizer.decision().bias_ratio).all()
for name in tf_bdecay.__all__:
    if name not in ("SharpnessAware", "Trainer"):
        getattr(tf_bdecay, name)
"""


def test_with_the_core_alone_a_model_of_ones_own_is_trained():
    """`[train]`'s packages gone but for those that Keras, TensorFlow and JAX themselves require."""
    gone = set(extras.TRAIN) - {"absl", "rich", "scipy"}
    code = CORE.format(gone=gone)
    done = ended(["-c", code])
    assert done.returncode == 0, done.stderr
    assert "1 gamma-beta pair" in done.stdout and "beta decay on in" in done.stdout
