"""tools/launch.py: lines apart, the first failure's code, all again after a loss."""

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
from tools.kills import compare
from tools.launching import processes

ROOT = pathlib.Path(__file__).resolve().parents[1]


def program(text):
    """A command that runs Python text; `index` is the process' own."""
    head = "import json, os, signal, sys, time\n"
    head += "index = json.loads(os.environ['TF_CONFIG'])['task']['index']\n"
    return [sys.executable, "-c", head + text]


def test_lines_are_apart_and_success_is_zero(capsys):
    assert processes.run(program("print('a'); print('b', index, file=sys.stderr)"), 2) == 0
    said = capsys.readouterr().out.splitlines()
    assert sorted(said) == ["[0] a", "[0] b 0", "[1] a", "[1] b 1"]


def test_the_first_failure_counts_and_the_others_are_ended(capsys):
    began = time.monotonic()
    text = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nif index: sys.exit(3)\ntime.sleep(60)"
    assert processes.run(program(text), 2, grace=0.5, restarts=2) == 3
    assert time.monotonic() - began < 20
    said = capsys.readouterr().out
    assert "Worker 1 ended by exit code 3" in said and "SIGKILL" in said
    assert "again" not in said


@pytest.mark.parametrize(
    "end, code, starts",
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", 137, 3),
        ("sys.exit(4)", 4, 3),
        ("sys.exit(2)", 2, 1),
    ],
)
def test_a_loss_is_tried_again_and_bad_input_is_not(end, code, starts, capfd):
    assert processes.run(program(f"print('start', flush=True)\n{end}"), 1, 5, 2) == code
    assert capfd.readouterr().out.count("[0] start") == starts


def test_a_signal_is_handed_on_once_to_each():
    text = (
        "from tools.launching import processes\nimport sys\n"
        "text = 'import signal, sys, time\\nseen = []\\n"
        'signal.signal(signal.SIGINT, lambda *_: seen.append(1))\\nprint("up", flush=True)\\n'
        "time.sleep(1.5)\\nprint(len(seen), flush=True)\\nsys.exit(130)'\n"
        "sys.exit(processes.run([sys.executable, '-c', text], 2, 5, restarts=3))"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", text],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    said = [run.stdout.readline() for _ in range(2)]
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does
    rest, _ = run.communicate(timeout=120)
    assert sorted(said) == ["[0] up\n", "[1] up\n"]
    assert sorted(rest.splitlines()) == ["[0] 1", "[1] 1"]
    assert run.returncode == 130


def launch(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "tools/launch.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments, environment, said",
    [
        (["--workers=0"], {}, "--workers must be >= 1"),
        (["--workers=x"], {}, "--workers=x"),
        (["--wrkers=2"], {}, "wrkers"),
        (["main.py"], {}, "behind `--`. Received: main.py"),
        (["--", "--strategy=none"], {}, "--strategy is launch.py's to say"),
        (["--"], {"TF_CONFIG": "{}"}, "TF_CONFIG for its workers"),
    ],
)
def test_bad_input_is_one_sentence(arguments, environment, said):
    done = launch(*arguments, **environment)
    assert done.returncode == 2
    assert re.fullmatch(r"launch\.py: .*\n", done.stderr) and said in done.stderr


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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has it")
def test_workers_end_with_a_launcher_that_is_killed(tmp_path):
    worker = f"import os, time; open(f'{tmp_path}/{{os.getpid()}}', 'w').close(); time.sleep(600)"
    code = (
        f"from tools.launching import processes\nprocesses.run({[sys.executable, '-c', worker]}, 2)"
    )
    launcher = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    while len(list(tmp_path.iterdir())) < 2:
        assert launcher.poll() is None
        time.sleep(0.05)
    launcher.kill()
    launcher.wait()
    for pid in (path.name for path in tmp_path.iterdir()):
        while _lives(pid):  # for ever, where they outlive it
            time.sleep(0.05)


def _lives(pid):
    try:
        return pathlib.Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
