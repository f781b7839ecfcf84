"""Sharpness measures of ResNet18, as ratios to one gradient of the same batch."""

import keras
import numpy as np
import tensorflow as tf

import tf_bdecay
from tf_bdecay import sharpness
from tf_bdecay.sensitivity import connection_sensitivity, l1_norms
from tf_bdecay.sharpness import fisher
from tf_bdecay.sharpness.connectivity_sharpness import examples_kernel, gradient_kernel
from tf_bdecay.sharpness.curvature.operator import product_kernel
from tf_bdecay.sharpness.over_examples.network import Network
from tools.benchmarks import processes
from tools.benchmarks.timing import Goal, interleave, of_megabytes

PROBLEMS = {"memory": None, "width16": (16, 64), "width64": (64, 32)}
MOST = 6  # repeats at most: a turn of all cases takes many seconds
TENFOLD = (1_000, 10_000)  # examples over which memory is compared
_GRADIENT, _PER_EXAMPLE = "gradient", "C, per example"


def _name(problem):
    width, batch = PROBLEMS[problem]
    return f"ResNet18, width {width}, {batch} examples"


GOALS = (
    Goal("per-example C / gradient, width 16", _name("width16"), _PER_EXAMPLE, _GRADIENT, 2.5),
    Goal("per-example C / gradient, width 64", _name("width64"), _PER_EXAMPLE, _GRADIENT, 2.5),
)


def run(problems, repeats):
    """Rows for each problem; the reference is the gradient of the mean loss of the same batch."""
    rows = []
    for problem in problems:
        if problem == "memory":
            rows += _memory()
        else:
            width, batch = PROBLEMS[problem]
            rows += interleave(_name(problem), _cases(width, batch), min(repeats, MOST))
    return rows


def _cases(width, batch):
    keras.utils.set_random_seed(0)
    model = tf_bdecay.models.resnet18(width=width)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, 32, 32, 3)).astype("float32")
    y = rng.integers(0, 10, batch)
    network = Network(model, loss)
    values = [v.value for v in network.variables]
    weights = tf.fill([batch], tf.constant(1 / batch, "float64"))
    vectors = [tf.random.stateless_normal(v.shape, (0, i)) for i, v in enumerate(values)]
    counted = tf.fill([len(values)], True)

    def with_c_m(network, x, y, weights):
        loss, gradients = gradient_kernel(network, x, y, weights)
        return loss, gradients, l1_norms(connection_sensitivity(gradients, network.values()))

    def trace_of_layers(network, x, y, weights, vectors):
        loss, products = product_kernel(network, x, y, weights, vectors)
        return loss, [tf.reduce_sum(p * v) for p, v in zip(products, vectors, strict=True)]

    def trace_alone(network, x, y, weights, vectors):
        loss, shares = trace_of_layers(network, x, y, weights, vectors)
        return loss, tf.add_n(shares)

    cases = {
        _GRADIENT: (gradient_kernel, ()),
        "C_m and gradient": (with_c_m, ()),
        _PER_EXAMPLE: (examples_kernel, ()),
        "Hessian-vector product": (product_kernel, (vectors,)),
        "trace, total alone": (trace_alone, (vectors,)),
        "trace, every layer": (trace_of_layers, (vectors,)),
        "Fisher-Rao": (fisher.logits_kernel, (counted,)),
    }
    data = model, network, tf.constant(x), tf.constant(y), weights
    return {name: _call(*data, *case) for name, case in cases.items()}


def _call(model, network, x, y, weights, kernel, arguments):
    function = network.traced(kernel)

    def call(model=model):  # keeps the model alive, to which the network has a weak reference
        tf.nest.map_structure(lambda t: t.numpy(), function(x, y, weights, *arguments)[0])

    return call


def _memory():
    """Peak memory of the process when C is measured over ten times as many examples."""
    model = tf_bdecay.models.resnet18(width=16)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rows = []
    for count in TENFOLD:
        example = tf.random.stateless_normal((32, 32, 3), (0, 0)), tf.constant(1)
        data = tf.data.Dataset.from_tensors(example).repeat(count).batch(64)
        sharpness.connectivity(model, loss, data, examples_at_once=64)
        peak = processes.megabytes("VmHWM")
        rows.append(of_megabytes("peak memory of C", f"{count:,} examples", peak, rows))
    return rows
