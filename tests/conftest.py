"""Settings that all tests share: one backend per process, quiet logs, tests chosen by backend."""

import collections
import gc
import os
import pathlib
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from tf_bdecay.frameworks import quirks

quirks.avoid_onednn()

import hypothesis
import keras
import pytest

# Garbage is looked for less often, as what is imported, half a million objects, is none.
gc.set_threshold(200_000, 20, 20)

# Under nohup, or in the background of a shell, they are ignored, and by every process started here.
for _number in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(_number) == signal.SIG_IGN:
        default = signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL
        signal.signal(_number, default)

OTHERS_ROWS = 1  # quick rows of a test under another backend than TensorFlow

# The first example of a test traces and compiles: its time says nothing.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


def pytest_ignore_collect(collection_path):
    """Under another backend, files that are not marked are not even imported."""
    path = pathlib.Path(collection_path)
    if keras.backend.backend() == "tensorflow" or path.suffix != ".py":
        return None
    return "mark.any_backend" not in path.read_text() or None


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(config, items):
    """Rows beyond the quick ones are slow; other backends run what is marked for them.

    All rows are quick under TensorFlow where a test does not say otherwise, one under others.
    """
    seen, others = collections.Counter(), keras.backend.backend() != "tensorflow"
    for item in items:
        marked = item.get_closest_marker("quick_rows")
        quick = marked.args[0] if marked else OTHERS_ROWS if others else len(items)
        function = item.nodeid.partition("[")[0]
        if not item.get_closest_marker("slow"):
            seen[function] += 1
            if seen[function] > quick or (others and item.get_closest_marker("slow_elsewhere")):
                item.add_marker(pytest.mark.slow)
    if not others:
        return
    kept = [item for item in items if item.get_closest_marker("any_backend")]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def pytest_collection_finish():
    """Garbage is not looked for in what is imported: a tenth of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def fresh_keras_state():
    """Names and the global dtype policy of one test must not reach the next."""
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.backend.clear_session(free_memory=False)  # which would collect all garbage: half a second
    # The young garbage alone. An iterator of tf.data that dies is waited for until the thread that
    # tunes it looks up, and the older it is, the longer that thread sleeps: up to a minute.
    gc.collect(1)


@pytest.fixture(autouse=True, scope="module")
def collected_garbage():
    """What a file's tests leave behind is freed once, after the last of them."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The workdir of a short run of main.py that was not interrupted."""
    from main import main
    from tests.short_run import TINY

    path = tmp_path_factory.mktemp("runs") / "whole"
    assert main([f"--workdir={path}", *TINY]) == 0
    return path
