"""One update of all variables, compared with the optimizers of Keras, TensorFlow Addons and optax.

`B/parameter` expresses the time of an update in bytes per parameter, at the speed at which this run
copied the parameters (a copy reads and writes each once: 8 bytes). Addons' LAMB applies the decay
inside the trust ratio, as ours does. Addons and optax run in processes of their own, and optax.lamb
runs under JAX.
"""

import gc
import sys

import keras

from tools.benchmarks import updates, variables
from tools.benchmarks.processes import Case
from tools.benchmarks.timing import Goal, interleave, of_megabytes

MEMORY = "memory"
_TENSORFLOW = keras.backend.backend() == "tensorflow"
PROBLEMS = (*variables.LISTS, MEMORY) if _TENSORFLOW else tuple(variables.LISTS)

_LAMB, _LAMB_XLA = "keras.optimizers.Lamb, graph", "keras.optimizers.Lamb, XLA"
_OURS = "tf_bdecay.Lamb, adaptive (default)"
_FIXED = "tf_bdecay.Lamb, fixed beta decay"
_PLAIN = "tf_bdecay.Lamb, adaptive, without XLA"


def _name(problem):
    """The problem with its number of variables and parameters, which determine the time."""
    shapes = variables.LISTS[problem]()
    millions = variables.parameters(shapes) / 1e6
    return f"{problem}: {len(shapes):,} variables, {millions:.3g} M parameters"


_RESNET50 = _name("resnet50d")
GOALS = (
    Goal("update, ResNet50, graph", _RESNET50, _OURS, _LAMB, 0.7),
    Goal("update, ResNet50, both XLA", _RESNET50, _OURS, _LAMB_XLA, 0.75),
    Goal("first update, ResNet50, both XLA", _RESNET50, _OURS, _LAMB_XLA, 0.5, "first_s"),
    Goal("1,000 tiny variables, graph", _name("tiny"), _OURS, _LAMB, 0.1),
    Goal("adaptive / fixed beta decay, ResNet50", _RESNET50, _OURS, _FIXED, 1.02),
    Goal("without XLA, ResNet50, graph", _RESNET50, _PLAIN, _LAMB, 1.15),
)
# Which alternatives run: XLA needs many minutes to compile Keras' separate updates of 1,000
# variables, and 16 GB hold the state of no more than three optimizers for BERT-large.
_ONLY = {
    "tiny": lambda name: "keras" not in name or "graph" in name,
    "bert_large": lambda name: name in (_LAMB, _OURS) or "copy" in name,
}


def run(problems, repeats, addons_python=None):
    """Rows for each problem; the reference is keras.optimizers.Lamb in a graph."""
    rows = []
    for problem in problems:
        if problem == MEMORY:
            rows += _memory()
            continue
        shapes = variables.LISTS[problem]()
        cases = _cases(problem, shapes, addons_python)
        found = interleave(_name(problem), cases, repeats)
        copy = next(row.median_ms for row in found if "copy" in row.name)
        for row in found:
            row.figures["B/parameter"] = 8 * row.median_ms / copy
            row.figures.update(getattr(cases[row.name], "figures_now", dict)())
        rows += found
        for case in cases.values():
            getattr(case, "close", lambda: None)()
        del cases
        gc.collect()
    return rows


def _cases(problem, shapes, addons_python):
    wanted = _ONLY.get(problem, lambda name: True)
    shared, gradients = updates.variables_of(shapes)
    cases = {}
    for name, (make, jit) in _optimizers().items():
        if wanted(name):
            cases[name] = updates.update(make(), shared, gradients, jit)
    others = {
        "tensorflow_addons LAMB, graph": addons_python and ("addons", addons_python),
        "optax.lamb, JAX": ("optax", sys.executable),
    }
    for name, other in others.items():
        if other and wanted(name):
            peer, python = other
            lazy = {"TF_BDECAY_LAZY_IMPORT": "1"}  # the environment of Addons has no Keras 3
            cases[name] = Case("peers", {"problem": problem, "peer": peer}, python, **lazy)
    if problem == "tiny" and _TENSORFLOW:
        cases["limit: to read, join, split and write"] = updates.read_and_write(shared)
    cases["copy of the parameters"] = updates.copy(variables.parameters(shapes))
    return cases


def _optimizers():
    """Dict of name to (function that makes the optimizer, whether XLA compiles the update)."""
    import tf_bdecay

    found = {}
    kinds = {"graph": False, "XLA": True} if _TENSORFLOW else {"XLA": True}
    for peer in (keras.optimizers.Lamb, keras.optimizers.AdamW, keras.optimizers.SGD):
        for kind, jit in kinds.items():
            options = {"momentum": 0.9} if peer is keras.optimizers.SGD else {}
            found[f"keras.optimizers.{peer.__name__}, {kind}"] = (
                lambda peer=peer, options=options: peer(1e-4, **options),
                jit,
            )
    found |= {
        _OURS: (lambda: tf_bdecay.Lamb(1e-4), False),
        _FIXED: (lambda: tf_bdecay.Lamb(1e-4, tf_bdecay.decay.BetaDecay()), False),
        "tf_bdecay.SGD": (lambda: tf_bdecay.SGD(1e-4), False),
    }
    if _TENSORFLOW:
        found[_PLAIN] = lambda: tf_bdecay.Lamb(1e-4, compile_update=False), False
    return found


def _memory():
    """Peak memory of three updates of ViT-B above its state, in one process per alternative."""
    rows = []
    for name in (_LAMB, _LAMB_XLA, _OURS, _PLAIN):
        case = Case("peers", {"problem": "vit_b", "peer": name, "memory": True})
        for _ in range(3):
            case()
        peak = case.figures["MB"]
        case.close()
        rows.append(of_megabytes("vit_b, first updates", name, peak, rows))
    return rows


def case_of(problem, name):
    """The case of this name, for a process of its own."""
    make, jit = _optimizers()[name]
    return updates.update(make(), *updates.variables_of(variables.LISTS[problem]()), jit)
