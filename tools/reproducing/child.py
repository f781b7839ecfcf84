"""Trains one run by main.py and measures its network, in a process of its own.

    python tools/reproducing/child.py JOB.json

The job says `arguments` of main.py, `workdir`, `data_dir`, and `measure`: None, or dict of
`examples`, `m`, `probes`. What was measured goes to `measures.json` in the workdir. Under
KERAS_BACKEND=jax another loop trains, which measures nothing: what it takes is in `loop.main`.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))


def main(path):
    """Returns the exit code of main.py; that of success means that all is measured too."""
    job = json.loads(pathlib.Path(path).read_text())
    if os.environ["KERAS_BACKEND"] == "jax":
        from tools.reproducing.on_jax import loop

        return loop.main(job)
    import main as trainer

    workdir = pathlib.Path(job["workdir"])
    code = trainer.main(job["arguments"])
    if code == 0 and job["measure"] and not (workdir / "measures.json").exists():
        from tools.reproducing import measures

        measures.write(workdir, job["data_dir"], **job["measure"])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
