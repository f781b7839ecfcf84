"""tools/launch.py from the outside: many workers of main.py."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.data import sets
from tests.processes import ended
from tf_bdecay.launching import processes
from tools.kills import compare

ROOT = pathlib.Path(__file__).resolve().parents[1]


def program(text):
    """A command that runs Python text; `index` is the process' own."""
    head = "import json, os, signal, sys, time\n"
    head += "index = json.loads(os.environ['TF_CONFIG'])['task']['index']\n"
    return [sys.executable, "-c", head + text]


def launch(*arguments, **environment):
    return ended(["tools/launch.py", *arguments], timeout=1800, **environment)


SMALL = [
    "--config.model.width=16",
    "--config.epochs=6",
    "--config.log.checkpoint_updates=2",
    "--config.log.summaries_every=2",
]


@pytest.mark.slow
def test_workers_read_a_prepared_set_and_refuse_another(tmp_path, capfd):
    """Reading it starts TensorFlow, before which a strategy of many workers must be made."""
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        sets.prepare_cifar100(tmp_path / str(seed), seed)
    small = ["--config=configs/cifar100_vgg11.py", "--config.model.width=2"]
    flags = ["--strategy=multi_worker", *small, "--config.batch_size=64", "--dry_run"]

    def ends(of_worker):
        text = f"os.execv(sys.executable, [sys.executable, {str(ROOT / 'main.py')!r}, *{flags!r}, "
        return processes.run(program(f"{text}'--data_dir={tmp_path}/' + {of_worker}])"), 2)

    assert ends("'0'") == 0
    assert "cifar100: 200 images" in capfd.readouterr().out
    assert ends("str(index)") == 2
    assert "hash of the train data is" in capfd.readouterr().out


@pytest.mark.slow
def test_a_killed_worker_costs_nothing_but_time(tmp_path):
    """All start again and end with the bits of a run that nobody killed."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = ["--workers=2", "--restarts=3", "--", *SMALL]
    done = launch(*command, f"--workdir={whole}")
    assert done.returncode == 0, done.stdout[-3000:]
    run = subprocess.Popen(
        [sys.executable, "tools/launch.py", *command, f"--workdir={killed}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = []
    for number in (0, 1):
        _wait_for_update(killed, 3 + 5 * number)
        os.kill(_worker(run.pid, number), signal.SIGKILL)
        for line in run.stdout:
            said.append(line)
            if "Starting all workers again" in line:
                break
    rest, _ = run.communicate(timeout=1800)
    assert run.returncode == 0, ("".join(said) + rest)[-3000:]
    assert compare.differences(whole, killed) == []


def _wait_for_update(path, update):
    """Until there is a checkpoint of this update or a later one."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        names = [f.name for f in (path / "checkpoints").glob("update_*.npz")]
        if any(int(name[7:15]) >= update for name in names):
            return
        time.sleep(0.02)
    raise TimeoutError(f"no checkpoint of update {update}")


def _worker(parent, index):
    """The process id of a worker, by its TF_CONFIG."""
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if int(re.search(r"\) . (\d+)", (entry / "stat").read_text())[1]) != parent:
                continue
            for item in (entry / "environ").read_bytes().split(b"\0"):
                name, _, value = item.partition(b"=")
                if name == b"TF_CONFIG" and json.loads(value)["task"]["index"] == index:
                    return int(entry.name)
        except (OSError, TypeError):
            continue
    raise LookupError(f"worker {index}")
