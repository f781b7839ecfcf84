"""One update of all variables: ours beside Keras' Lamb and AdamW, in a graph and under XLA."""

import gc

import keras
import numpy as np
import tensorflow as tf

import tf_bdecay
from benchmarks.timing import interleave

PROBLEMS = ("resnet50", "resnet18", "tiny")


def run(problems, repeats):
    """Rows for each problem; the reference is keras.optimizers.Lamb in a graph."""
    rows = []
    for problem in problems:
        # XLA takes many minutes over Keras' thousand separate updates: left out.
        peers_under_xla = problem != "tiny"
        rows += interleave(problem, _cases(_paths_and_shapes(problem), peers_under_xla), repeats)
        gc.collect()
    return rows


def _cases(variables, peers_under_xla):
    cases = {}
    for peer in (keras.optimizers.Lamb, keras.optimizers.AdamW):
        name = f"keras.optimizers.{peer.__name__}"
        cases[f"{name}, graph"] = _update(peer(1e-3), variables, jit=False)
        if peers_under_xla:
            cases[f"{name}, XLA"] = _update(peer(1e-3), variables, jit=True)
    for name, optimizer in {
        "adaptive (default)": tf_bdecay.Lamb(1e-3),
        "fixed beta decay": tf_bdecay.Lamb(1e-3, tf_bdecay.decay.BetaDecay()),
        "adaptive, without XLA": tf_bdecay.Lamb(1e-3, compile_update=False),
    }.items():
        cases[f"tf_bdecay.Lamb, {name}"] = _update(optimizer, variables, jit=False)
    return cases


def _update(optimizer, paths_and_shapes, jit):
    """A function that does one update of variables of its own."""
    rng = np.random.default_rng(0)
    variables, gradients = [], []
    for path, shape in paths_and_shapes:
        prefix, leaf = path.rsplit("/", 1)
        with keras.name_scope(prefix):
            value = rng.normal(0, 0.05, shape).astype("float32")
            variables.append(keras.Variable(value, name=leaf))
        gradients.append(tf.Variable(rng.normal(0, 0.01, shape).astype("float32")))
    optimizer.build(variables)

    @tf.function(jit_compile=jit, autograph=False)
    def update():
        optimizer.apply([g.read_value() for g in gradients], variables)

    return update


def _paths_and_shapes(problem):
    if problem == "tiny":
        kinds = ("gamma", "beta")
        return [(f"layer{i}/{kind}", (64,)) for i in range(500) for kind in kinds]
    if problem == "resnet18":
        model = tf_bdecay.models.resnet18()
    else:
        model = keras.applications.ResNet50(weights=None)
    return [(v.path, tuple(v.shape)) for v in model.trainable_variables]
