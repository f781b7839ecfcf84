"""README's layout: no import points upward, private names are in one file, tests mirror the code.

The package is read as text: nothing of it is imported.
"""

import ast
import functools
import graphlib
import pathlib
import re
from typing import NamedTuple

import keras
import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE, TESTS = ROOT / "tf_bdecay", ROOT / "tests"

# README's Layout, from the ground up. A storey may use those below it, and itself without a circle.
STOREYS = (
    (
        "errors",
        "patterns",
        "sensitivity",
        "gradient_noise",
        "frameworks",
        "terminal",
    ),
    ("roles", "batches", "batch_checks", "decay", "schedules", "layers", "data", "storage"),
    ("optim", "models", "sharpness", "distribution"),
    ("callbacks",),
    ("training",),
    (
        "planning",
        "sharpness_command",
        "training_command",
        "launching",
        "comparing",
        "commands",
    ),
    ("__main__",),
)
# The folders of training/, as the list in its __init__.py.
TRAINING = ("config", "run_folder", "step", "building", "fitting", "records")
UPWARD = {
    ("sharpness/__main__.py", "commands"): "`python -m tf_bdecay.sharpness` starts one",
}

PRIVATE_HOME = "frameworks/keras_private.py"
# Private names that no object shows, or that Keras makes late; `private_names` finds the others.
PRIVATE = {
    "_compile_loss",
    "_compile_metrics",
    "_distribute_strategy",
    "_distributed_dataset",
    "_keras_call_info_injected",
    "_keras_mask",
    "_nodes_by_depth",
    "_symbolic_build",
}
# (file, name) -> why it stands outside of keras_private.py.
_OF_A_CALLBACK = "a callback's own, where Keras' is a model's"
ALLOWED = {
    ("errors.py", "_keras_call_info_injected"): "of our own error; Keras reads it",
    ("training/fitting/epoch_metrics.py", "_metrics"): _OF_A_CALLBACK,
    ("training/fitting/resume.py", "_metrics"): _OF_A_CALLBACK,
}

# Test files of what has no module in the package, or of many modules at once.
NOT_OF_A_MODULE = {
    "test_fuzz.py": "flags, keys and files of a run by chance",
    "test_pairs.py": "main.py and the sharpness command, by every pair of values",
    "test_configs.py": "configs/",
    "test_docs.py": "docs/",
    "test_results.py": "what docs/ and README.md say of results/",
    "test_launch.py": "tools/launch.py",
    "test_layout.py": "this file",
    "test_main.py": "main.py",
    "test_main_cut_off.py": "main.py, runs that signals, kills, disks or NaN end",
    "test_main_before_training.py": "main.py, what it refuses, plans and describes",
    "test_readme.py": "README.md",
    "test_types.py": "what type checkers see",
    "sharpness_command/test_endings.py": "the command in processes of its own",
    "callbacks/resuming/test_resume_callbacks.py": "callbacks/resuming/resume.py, other callbacks",
    "callbacks/resuming/test_resume_refusals.py": "callbacks/resuming/resume.py, what it refuses",
    "layers/test_conversion_classes.py": "layers/conversion.py, by class of model and layer",
    "layers/test_ghost_batch_norm_tensorflow.py": "what JAX's tests must not import",
    "data/pictures/layouts/test_tfrecord_tensorflow.py": "records that TensorFlow writes",
    "data/pictures/test_plain_tensorflow.py": "what plain bytes are for, which needs TensorFlow",
    "data/pictures/test_memory.py": "an epoch of many pictures, in a process of its own",
    "data/pictures/test_photographs.py": "pictures that packages ship, through every layout",
    "data/pictures/layouts/test_package.py": "data/pictures/layouts/__init__.py",
    "optim/test_fit.py": "every optimizer in Keras' `fit`",
    "optim/test_like_keras.py": "every optimizer beside Keras' own",
    "training/test_pictures.py": "runs on pictures in files, over many modules",
    "training/step/test_like_keras.py": "Trainer beside plain Keras, over many modules",
    "optim/test_properties.py": "every optimizer through one table of properties",
    "sharpness/test_connectivity_theorems.py": "the paper's theorems, of many layers at once",
    "sharpness/test_package.py": "sharpness/__init__.py",
}
WITHOUT_TESTS = {}  # module -> why


def files():
    """Paths of the package's modules, relative to it."""
    found = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    assert len(found) > 50
    return found


@functools.cache
def parsed(path):
    return ast.parse((PACKAGE / path).read_text())


def name_of(path):
    """tf_bdecay.optim.lamb, or tf_bdecay.optim for its __init__.py."""
    return ".".join(("tf_bdecay", *path.with_suffix("").parts)).removesuffix(".__init__")


def homes():
    """What `tf_bdecay.NAME` stands for, where NAME is no module: its module's full name."""
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
    lines = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    return {a.name: node.module for node in lines for a in node.names if node.module != "tf_bdecay"}


def nodes(path):
    """The nodes of a module, and of its stub, whose names are imported when they are asked for."""
    yield from ast.walk(parsed(path))
    if (PACKAGE / path.with_suffix(".pyi")).exists():
        yield from ast.walk(parsed(path.with_suffix(".pyi")))


def imports(path):
    """Full names of the package's modules that a module imports, wherever in it, or names.

    A name in a string is one that is imported when it is asked for, and so is one of a stub.
    """
    modules = {name_of(p) for p in files()}
    asked = {}
    for node in nodes(path):
        if isinstance(node, ast.Import):
            asked.update({alias.name: node for alias in node.names})
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is a relative import"
            asked.update({f"{node.module}.{alias.name}": node for alias in node.names})
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(r"tf_bdecay(\.\w+)+", node.value):
                asked[node.value] = node
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "tf_bdecay":
            asked[homes().get(node.attr, f"tf_bdecay.{node.attr}")] = node
    found = set()
    for name in asked:
        while name and name not in modules:
            name = name.rpartition(".")[0]  # a function's or a class' module
        found |= {name} - {"", "tf_bdecay"}
    return found


def part(name):
    """The folder, or file of the ground, that a module's full name is in."""
    return name.split(".")[1]


def arrows():
    """(path of a module, part that it imports), between parts."""
    found = {
        (path.as_posix(), part(name))
        for path in files()
        if len(path.parts) > 1 or path.name != "__init__.py"
        for name in imports(path)
        if part(name) != part(name_of(path))
    }
    assert len(found) > 100  # else they were not found
    return found


def storey(part):
    return next(n for n, parts in enumerate(STOREYS) if part in parts)


def test_every_part_has_a_storey_and_a_line_in_the_readme():
    parts = {path.parts[0].removesuffix(".py") for path in files()} - {"__init__"}
    assert parts == {part for parts in STOREYS for part in parts}
    layout = (ROOT / "README.md").read_text().split("## Layout")[1].split("\n## ")[0]
    block = layout.split("Imports run down")[0]
    missing = [part for part in parts if not re.search(rf"\b{part}(/|\.py)", block)]
    assert missing == []


def test_no_import_runs_up():
    up = {
        (path, target)
        for path, target in arrows()
        if storey(target) > storey(pathlib.Path(path).parts[0].removesuffix(".py"))
    }
    assert up == UPWARD.keys()


def test_the_folders_of_training_use_those_above_them_in_its_list():
    assert ast.get_docstring(parsed(pathlib.Path("training/__init__.py"))).count("/  ") == len(
        TRAINING
    )
    within = [path for path in files() if path.parts[0] == "training" and len(path.parts) > 2]
    assert {path.parts[1] for path in within} == set(TRAINING)
    used = {
        (path.parts[1], name.split(".")[2])
        for path in within
        for name in imports(path)
        if name.startswith("tf_bdecay.training.")
    }
    wrong = {
        (one, other) for one, other in used if other not in TRAINING[: TRAINING.index(one) + 1]
    }
    assert ("records", "fitting") in used
    assert wrong == set()


def test_no_circle():
    graph = {part: set() for parts in STOREYS for part in parts}
    for path, target in arrows() - UPWARD.keys():
        graph[pathlib.Path(path).parts[0].removesuffix(".py")].add(target)
    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError
    assert order.index("errors") < order.index("optim") < order.index("training")


@pytest.mark.parametrize(
    "line",
    [
        "import tf_bdecay.training.fitting.loop",
        "from tf_bdecay import training",
        "from tf_bdecay.training.fitting import loop",
        "from tf_bdecay.training.fitting.loop import fit",
        "def f():\n    from tf_bdecay.training.fitting.loop import fit",
        "HOMES = {'fit': 'tf_bdecay.training.fitting.loop'}",
        "import tf_bdecay\ntf_bdecay.Trainer",
    ],
)
def test_an_import_is_seen_however_it_is_written(line, monkeypatch):
    trees = {pathlib.Path("__init__.py"): parsed(pathlib.Path("__init__.py"))}
    monkeypatch.setitem(globals(), "parsed", lambda path: trees.get(path) or ast.parse(line))
    assert [part(name) for name in imports(pathlib.Path("errors.py"))] == ["training"]


@functools.cache
def private_names():
    """Keras' private names: those of its models, layers, optimizers, metrics, tensors and nodes."""
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mse"])
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    sequential = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    node = keras.ops.relu(inputs)._keras_history.operation._inbound_nodes[0]
    shown = (
        model,
        sequential,
        model.layers[1],
        model.trainable_variables[0],
        optimizer,
        keras.optimizers.LossScaleOptimizer(optimizer),
        keras.metrics.Mean(),
        keras.losses.MeanSquaredError(),
        keras.callbacks.Callback(),
        inputs,
        node,
    )
    names = {name for one in shown for name in dir(one) if re.match(r"_[a-z]", name)}
    assert {"_flatten_layers", "_inbound_nodes", "_functional", "_get_variable_index"} <= names
    return names | PRIVATE


def private_uses(tree):
    """What a module has of Keras: its private names, and any that is private to another object.

    Names on `self`, methods and attributes count in classes that have a base, which may be Keras'.
    """
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr):
            if node.attr in dir(NamedTuple("Any", [("field", int)])):  # public, by its docs
                continue
            if not isinstance(node.value, ast.Name) or node.value.id not in ("self", "cls", "os"):
                found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= {node.value} & private_names()
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("keras.src"):
            found.add(node.module)
        elif isinstance(node, ast.ClassDef) and node.bases:
            found |= of_class(node) & private_names()
    return found


def of_class(node):
    """The names that a class defines, or asks of `self`."""
    targets = [t for n in node.body if isinstance(n, ast.Assign) for t in n.targets]
    names = {t.id for t in targets if isinstance(t, ast.Name)}
    names |= {n.name for n in node.body if isinstance(n, ast.FunctionDef)}
    on_self = [
        n.attr
        for n in ast.walk(node)
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "self"
    ]
    return names | set(on_self)


def test_private_names_of_keras_have_one_home():
    uses = {
        (path.as_posix(), name)
        for path in files()
        if str(path) != PRIVATE_HOME
        for name in private_uses(parsed(path))
    }
    assert uses == ALLOWED.keys()
    assert len(private_uses(parsed(pathlib.Path(PRIVATE_HOME)))) > 10  # there they are


@pytest.mark.parametrize(
    "line",
    [
        "model._flatten_layers()",
        "class Mine(Base):\n    def f(self):\n        return self._get_variable_index(0)",
        "class Mine(Base):\n    def _maybe_symbolic_build(self):\n        pass",
        "getattr(model, '_functional', None)",
        "optimizer.inner._anything",
        "from keras.src.models import functional",
    ],
)
def test_a_private_name_is_seen_however_it_is_used(line):
    assert len(private_uses(ast.parse(line))) == 1


def waits_for_ever(tree):
    """Lines that wait for a process without a limit."""
    waits = {f"subprocess.{name}" for name in ("run", "call", "check_call", "check_output")}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in waits
        and "timeout" not in [keyword.arg for keyword in node.keywords]
    ]


def test_no_test_waits_for_a_process_for_ever():
    assert waits_for_ever(ast.parse("subprocess.run(a, text=True)")) == [1]
    found = {path.name: waits_for_ever(ast.parse(path.read_text())) for path in TESTS.rglob("*.py")}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_every_module_has_its_test_file_and_every_test_file_its_module():
    modules = {
        path.with_name(f"test_{path.name}").as_posix()
        for path in files()
        if not path.name.startswith("__")
    }
    tests = {path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}
    tests -= {name for name in tests if name.startswith("tools/")}  # they mirror tools/
    assert modules - tests == WITHOUT_TESTS.keys()
    assert tests - modules == NOT_OF_A_MODULE.keys()
