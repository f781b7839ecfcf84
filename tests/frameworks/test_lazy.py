"""Names are imported when they are first used: all those of the stub, and no others."""

import importlib
import pathlib

import keras
import pytest

from tests.processes import ended
from tf_bdecay.frameworks import lazy

pytestmark = pytest.mark.any_backend

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ["tf_bdecay", "tf_bdecay.data", "tf_bdecay.sharpness"]
TENSORFLOW = keras.backend.backend() == "tensorflow"


@pytest.mark.parametrize("package", PACKAGES)
def test_the_names_of_the_stub_are_those_of_the_package(package):
    module = importlib.import_module(package)
    names = lazy.names(module.__file__)
    assert set(module.__all__) == names.keys() and set(module.__all__) <= set(dir(module))
    assert "__name__" in dir(module)
    if not TENSORFLOW:
        return
    for name, home in names.items():
        there = importlib.import_module(home)
        assert getattr(module, name) is getattr(there, name), name


@pytest.mark.parametrize("package", PACKAGES)
def test_a_name_that_is_in_no_stub_is_no_attribute(package):
    module = importlib.import_module(package)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'lamb_'"):
        module.lamb_  # noqa: B018


def test_no_module_stands_in_the_place_of_a_name():
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name, home in lazy.names(module.__file__).items():
            assert importlib.util.find_spec(f"{package}.{name}") is None or home == package


def test_every_package_with_a_stub_is_tested_here():
    stubs = {path.parent for path in (ROOT / "tf_bdecay").rglob("*.pyi")}
    assert {".".join(path.relative_to(ROOT).parts) for path in stubs} == set(PACKAGES)


def test_nothing_is_imported_before_it_is_asked_for():
    code = "import sys, tf_bdecay, tf_bdecay.data, tf_bdecay.sharpness; dir(tf_bdecay)\n"
    code += "print({'keras', 'tensorflow', 'numpy', 'sklearn'} & sys.modules.keys())"
    done = ended(["-c", code])
    assert done.stdout.strip() == "set()", done.stderr


def test_a_notebook_completes_the_names():
    """As IPython does without importing: by `dir` of what is there."""
    import rlcompleter

    import tf_bdecay

    completer = rlcompleter.Completer({"tf_bdecay": tf_bdecay})
    found, state = [], 0
    while (one := completer.complete("tf_bdecay.L", state)) is not None:
        found.append(one.rstrip("("))
        state += 1
    assert {"tf_bdecay.Lamb", "tf_bdecay.Lars", "tf_bdecay.LossScaleOptimizer"} <= set(found)
