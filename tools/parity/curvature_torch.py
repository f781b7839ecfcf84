"""Measures the curvature of the same network with curvlinops and hessian-eigenthings.

This program runs in an environment that has PyTorch:

    python curvature_torch.py GIVEN.npz FOUND.npz REPEATS
"""

import sys
import time

import numpy as np
import torch
from curvlinops import HessianLinearOperator
from hessian_eigenthings import HessianOperator, lanczos, supervised_loss, trace
from scipy.sparse.linalg import eigsh


class Network(torch.nn.Module):
    """The network of curvature.py, with the statistics of its batch normalizations fixed."""

    def __init__(self, weights):
        super().__init__()
        self.given = {k: torch.tensor(v) for k, v in weights.items()}
        self.names = [k for k in weights if "moving" not in k]
        for name in self.names:
            self.register_parameter(
                name.replace("/", "_"), torch.nn.Parameter(to_torch(name, weights[name]))
            )

    def forward(self, x):
        def get(name):
            return getattr(self, name.replace("/", "_"))

        x = torch.nn.functional.conv2d(x, get("conv1/kernel"), padding=1)
        x = torch.tanh(self.normalized(x, "norm1"))
        x = torch.nn.functional.conv2d(x, get("conv2/kernel"), get("conv2/bias"))
        x = torch.relu(self.normalized(x, "norm2")).mean((2, 3))
        return torch.nn.functional.linear(x, get("fc/kernel"), get("fc/bias"))

    def normalized(self, x, name):
        return torch.nn.functional.batch_norm(
            x,
            self.given[f"{name}/moving_mean"],
            self.given[f"{name}/moving_variance"],
            getattr(self, f"{name}_gamma"),
            getattr(self, f"{name}_beta"),
            training=False,
            eps=1e-3,
        )


def to_torch(name, array):
    """An array in Keras' layout as a tensor in PyTorch's layout."""
    if name.endswith("kernel"):
        array = array.transpose((3, 2, 0, 1) if name.startswith("conv") else (1, 0))
    return torch.tensor(np.ascontiguousarray(array))


def to_keras(name, array):
    """An array in PyTorch's layout converted back to Keras' layout."""
    if not name.endswith("kernel"):
        return array
    return array.transpose((2, 3, 1, 0) if name.startswith("conv") else (1, 0))


def main(given, found, repeats):
    """Measures the curvature and saves the results."""
    case = dict(np.load(given))
    order = [str(name) for name in case.pop("order")]
    x, y, vector = case.pop("x"), case.pop("y"), case.pop("vector")
    probes = int(case.pop("probes"))
    model = Network(case)
    parameters = [getattr(model, name.replace("/", "_")) for name in order]
    data = [(torch.tensor(x.transpose(0, 3, 1, 2)), torch.tensor(y))]
    hessian = HessianLinearOperator(model, torch.nn.CrossEntropyLoss(), parameters, data).to_scipy()

    shapes = [case[name].shape for name in order]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]

    def across(flat, convert):
        pieces = np.split(flat, ends)
        return np.concatenate(
            [convert(n, p, s).reshape(-1) for n, p, s in zip(order, pieces, shapes, strict=True)]
        )

    theirs = across(vector, lambda n, p, s: to_torch(n, p.reshape(s)).numpy())
    product = hessian @ theirs
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        hessian @ theirs
        seconds.append(time.perf_counter() - start)
    torch_shapes = [tuple(p.shape) for p in parameters]
    pieces = np.split(product, ends)
    product = np.concatenate(
        [
            to_keras(n, p.reshape(s)).reshape(-1)
            for n, p, s in zip(order, pieces, torch_shapes, strict=True)
        ]
    )
    rng = np.random.default_rng(1)
    signs = rng.choice([-1.0, 1.0], (probes, len(vector))).astype("float32")
    samples = [v.astype("float64") @ (hessian @ v) for v in signs]
    top = eigsh(hessian, k=1, which="LA", tol=1e-5, return_eigenvectors=False)[0]
    np.savez(
        found,
        product=product,
        trace=np.array([np.mean(samples), np.std(samples, ddof=1) / probes**0.5]),
        eigenvalue=top,
        seconds=np.median(seconds),
        **eigenthings(model, data, probes),
    )


def eigenthings(model, data, probes):
    """The trace, whole and by layer, and the largest eigenvalue, by hessian-eigenthings."""

    def operator(keep=None):
        loss = supervised_loss(torch.nn.CrossEntropyLoss())
        return HessianOperator(model, data, loss, param_filter=keep)

    def estimate(of):
        found = trace(of, num_matvecs=probes, method="hutchinson", seed=0)
        return np.array([found.estimate, found.stderr])

    layers = dict.fromkeys(name.split("/")[0] for name in model.names)
    top = lanczos(operator(), k=1, which="LA", max_iter=60, reorthogonalize=True, seed=0)
    return {
        "eigenthings_eigenvalue": float(top.eigenvalues[0]),
        "eigenthings_trace": estimate(operator()),
        **{
            f"eigenthings_trace/{layer}": estimate(
                operator(lambda name, _, layer=layer: name.startswith(f"{layer}_"))
            )
            for layer in layers
        },
    }


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
