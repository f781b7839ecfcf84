"""Compares the curvature measures with those of PyTorch packages on the same weights and data.

    make parity-curvature

The network is a small convolutional one with batch normalization, trained on the digits. A product
H v, the trace and the largest eigenvalue are compared with curvlinops; the trace, whole and by
layer, and the largest eigenvalue with hessian-eigenthings. Traces have standard errors. PyTorch is
in an environment of its own (requirements-torch.txt).
Exit codes: 0 all agree, 1 some differ, 2 the comparison cannot run.
"""

import argparse
import os
import pathlib
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from tf_bdecay.frameworks import quirks

quirks.avoid_onednn()  # narrow strided convolutions

import keras
import numpy as np
from rich.table import Table
from sklearn.datasets import load_digits

import tf_bdecay
from tf_bdecay import sharpness
from tools.parity import elsewhere

EXAMPLES, PROBES, REPEATS = 1024, 50, 5
PRODUCT, EIGENVALUE = 1e-4, 1e-3  # relative limits


def trained():
    """The network after a few epochs of training, its loss, and the examples."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", use_bias=False, name="conv1"),
            layers.BatchNormalization(epsilon=1e-3, name="norm1"),
            layers.Activation("tanh"),
            layers.Conv2D(32, 3, padding="valid", name="conv2"),
            layers.BatchNormalization(epsilon=1e-3, name="norm2"),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, name="fc"),
        ]
    )
    bunch = load_digits()
    x = (bunch.images[:EXAMPLES, ..., None] / 16 - 0.3).astype("float32")
    y = bunch.target[:EXAMPLES]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf_bdecay.Lamb(0.01), loss)
    model.fit(x, y, batch_size=128, epochs=8, verbose=0)
    return model, loss, x, y


def ours(model, loss, x, y, vector):
    """Product, traces and eigenvalue by this package, and the seconds of a product."""
    operator = sharpness.hessian(model, loss, (x, y))
    product = operator @ vector
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        operator @ vector
        seconds.append(time.perf_counter() - start)
    trace = sharpness.hessian_trace(model, loss, (x, y), num_probes=PROBES)
    errors = trace.standard_errors("layer")
    top = sharpness.hessian_top_eigenvalue(model, loss, (x, y), tolerance=1e-5)
    return {
        "product": product,
        "trace": np.array([trace.total, trace.standard_error]),
        **{
            f"trace/{layer.split('/')[-1]}": np.array([value, errors[layer]])
            for layer, value in trace.by_layer.items()
        },
        "eigenvalue": np.array(top.total),
        "seconds": np.median(seconds),
    }


def theirs(python, model, x, y, vector):
    """The same by curvlinops and hessian-eigenthings, in their environment."""
    given = {
        **{"/".join(v.path.split("/")[-2:]): v.numpy() for v in model.weights},
        "order": ["/".join(v.path.split("/")[-2:]) for v in model.trainable_variables],
        "probes": PROBES,
        "vector": vector,
        "x": x,
        "y": y,
    }
    return elsewhere.arrays_of(
        "curvature_torch.py", python, "curvlinops", "parity-curvature", str(REPEATS), given=given
    )


def compare(mine, other):
    """The table of comparisons, and whether all agree."""
    product = np.abs(mine["product"] - other["product"]).max() / np.abs(other["product"]).max()
    estimates = [name for name in mine if name.startswith("trace")]
    rows = [
        ("H v, largest difference", "curvlinops", "", "", f"{product:.1e}", product < PRODUCT),
        _estimates("Tr(H)", "curvlinops", mine["trace"], other["trace"]),
        *(
            _estimates(
                f"Tr(H) {name.removeprefix('trace').removeprefix('/')}".strip(),
                "hessian-eigenthings",
                mine[name],
                other[f"eigenthings_{name}"],
            )
            for name in estimates
        ),
        _eigenvalues("curvlinops", mine["eigenvalue"], other["eigenvalue"]),
        _eigenvalues("hessian-eigenthings", mine["eigenvalue"], other["eigenthings_eigenvalue"]),
        (
            "ms per product",
            "curvlinops",
            f"{mine['seconds'] * 1e3:.1f}",
            f"{other['seconds'] * 1e3:.1f}",
            f"{mine['seconds'] / other['seconds']:.2f} of its time",
            True,
        ),
    ]
    table = Table("measure", "other", "tf_bdecay", "theirs", "difference", "agrees")
    for *cells, agrees in rows:
        table.add_row(*cells, "yes" if agrees else "NO")
    return table, all(row[-1] for row in rows)


def _estimates(what, whose, mine, theirs):
    """A row that compares two estimates by their standard errors."""
    errors = np.hypot(mine[1], theirs[1])
    apart = abs(mine[0] - theirs[0]) / errors
    texts = (f"{value:.4g} +- {error:.1g}" for value, error in (mine, theirs))
    return what, whose, *texts, f"{apart:.1f} standard errors", apart < 3.5


def _eigenvalues(whose, mine, theirs):
    apart = abs(mine / theirs - 1)
    return "lambda(H)", whose, f"{mine:.6g}", f"{theirs:.6g}", f"{apart:.1e}", apart < EIGENVALUE


def main():
    """Prints the table and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    elsewhere.add_python(parser, "--torch_python", ".venv-torch", "curvlinops")
    python = parser.parse_args().torch_python
    model, loss, x, y = trained()
    parameters = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    vector = np.random.default_rng(0).standard_normal(parameters).astype("float32")
    other = theirs(python, model, x, y, vector)
    table, agree = compare(ours(model, loss, x, y, vector), other)
    heading = f"{parameters:,} parameters, {EXAMPLES} examples, {PROBES} probes, float32"
    return elsewhere.verdict(heading, table, agree)


if __name__ == "__main__":
    sys.exit(main())
