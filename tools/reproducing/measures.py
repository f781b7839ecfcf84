"""Sharpness of a finished run: C, C_m, Tr(H), lambda(H), FR on a part of its training images."""

import json
import pathlib
import time

import numpy as np

from tf_bdecay import sharpness
from tf_bdecay.data.image_set import fixed_order
from tf_bdecay.data.pipeline import chosen_examples
from tf_bdecay.storage.files import json_ready, write_json
from tf_bdecay.training.building import datasets, saved
from tf_bdecay.training.building.losses import SmoothedCrossentropy

_TOLERANCE = 0.05  # of Tr(H) and lambda(H): their logarithms are what is compared


def write(workdir, data_dir, examples, m, probes):
    """Measures the model of a workdir, and writes `measures.json` there.

    The examples are the first of a fixed permutation of the training split, standardised, not
    augmented; the network is in inference mode, regularisers are left out. A measure that fails is
    left out too, and `failed` says why: the run stays worth what it was.

    Args:
        workdir: path of a finished run.
        data_dir: folder of the prepared sets, or None.
        examples: how many, at most.
        m: images of a mini-batch of C_m.
        probes: of Tr(H).
    """
    workdir = pathlib.Path(workdir)
    config = json.loads((workdir / "config.json").read_text())
    images = datasets.load(config, data_dir)
    chosen = fixed_order(len(images.train))[:examples]
    pair = chosen_examples(images, "train", chosen)
    model = saved.load(workdir / "model.keras")
    loss = SmoothedCrossentropy(config["label_smoothing"])
    found = {"examples": len(chosen), "m": m}
    for name, measure in {
        "C": lambda: sharpness.connectivity(model, loss, pair),
        "C_m": lambda: sharpness.connectivity(model, loss, pair, per_example=False, batch_size=m),
        "FR": lambda: sharpness.fisher_rao(model, loss, pair),
        "trace": lambda: sharpness.hessian_trace(
            model, loss, pair, num_probes=probes, tolerance=_TOLERANCE
        ),
        "lambda": lambda: sharpness.hessian_top_eigenvalue(
            model, loss, pair, tolerance=_TOLERANCE, max_restarts=5
        ),
    }.items():
        start, cpu = time.perf_counter(), time.process_time()
        try:
            measured = _short(measure().to_dict())
        except Exception as error:
            found.setdefault("failed", {})[name] = str(error)
            continue
        measured["seconds"] = round(time.perf_counter() - start, 2)
        measured["cpu_seconds"] = round(time.process_time() - cpu, 2)
        found[name] = measured
    values = {v.path: v.numpy() for v in model.trainable_variables}
    found["norms"] = {path: float(np.linalg.norm(value)) for path, value in values.items()}
    found["gamma_sums"] = {path: float(v.sum()) for path, v in values.items() if "gamma" in path}
    write_json(workdir / "measures.json", json_ready(found))


def _short(values):
    """Totals, facts, and the shares of variables and kinds without their errors."""
    kept = {k: v for k, v in values.items() if not k.startswith("by_")}
    for level in ("by_variable", "by_kind"):
        kept[level] = {name: cell["value"] for name, cell in values[level].items()}
    return kept
