"""Trains what is missing: a single-threaded process a run, stopped and resumed at will."""

import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from tf_bdecay.errors import BadInput
from tf_bdecay.launching import processes
from tf_bdecay.storage.files import locked
from tf_bdecay.terminal import outcome, signals
from tf_bdecay.terminal.plain_text import clock
from tf_bdecay.training.run_folder.workdir import FREE
from tools.reproducing import finished, runs, store

_CHILD = pathlib.Path(__file__).with_name("child.py")
_LOOK_SECONDS = 0.5  # between looks whether a signal came
_TELL_SECONDS = 60  # between lines of a run under JAX
_MEMORY = 0.9  # of a GPU's, shared by the jobs
_ONE_THREAD = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


class Runner:
    """Does the runs of a list that a store lacks.

    Args:
        results: the `Store`.
        data_dir: folder of the prepared sets, or None.
        pictures: flags of main.py for runs on pictures in files: where these are, and how an
            update is computed. Such a run has all cores, and its sharpness is not measured.
        jobs: processes at a time, a core each.
        minutes: after which no run is begun, and one under JAX stops, to go on another time; None
            for no limit.
        say: called with a line for a person.
    """

    def __init__(self, results, data_dir=None, pictures=(), jobs=1, minutes=None, say=print):
        self.store, self.data_dir, self.jobs, self.say = results, data_dir, jobs, say
        self.pictures = pictures
        self.jax = runs.backend() == "jax"
        self.end = None if minutes is None else time.monotonic() + 60 * minutes
        self.stopped = threading.Event()
        self.codes = set()  # exit codes of the runs that were refused or crashed
        self._children, self._lock = set(), threading.Lock()
        self._done, self._seconds = 0, []

    def do(self, wanted):
        """Trains the runs that are not in the store; returns those that are still missing.

        Args:
            wanted: list of `Run`, the first needed first.
        """
        pending = self.store.missing(wanted)
        begun, self._done = time.monotonic(), 0
        with (
            signals.deferred("the runs under way save and end") as request,
            concurrent.futures.ThreadPoolExecutor(self.jobs) as pool,
        ):
            left = {pool.submit(self._one, run, begun, len(pending)) for run in pending}
            try:
                while left:
                    ended, left = concurrent.futures.wait(left, timeout=_LOOK_SECONDS)
                    for future in ended:
                        future.result()
                    request.check()
            except BaseException:
                self.stop()
                raise
        return self.store.missing(wanted)

    def stop(self):
        """Ends the children, which save a checkpoint first."""
        self.stopped.set()
        with self._lock:
            for child in self._children:
                child.terminate()

    def _one(self, run, begun, count):
        if self.stopped.is_set() or (self.end is not None and time.monotonic() > self.end):
            return
        folder = pathlib.Path(tempfile.gettempdir(), f"reproduce-{os.getuid()}", run.key)
        folder.mkdir(parents=True, exist_ok=True)
        workdir = folder / (f"run-jax-{run.scale.precision}" if self.jax else "run")
        try:
            with locked(folder, f"The run {run.label} is under way in another process"):
                if self.store.path(run).exists():
                    self.store.read()
                    if self.store.of(run) is not None:  # another process was faster
                        return
                start = time.monotonic()
                self._drop_what_cannot_go_on(run, workdir)
                result = self._trained(run, workdir)
                if result is None:
                    return
                self.store.add(run, result)
                shutil.rmtree(folder, ignore_errors=True)
        except BadInput as error:  # the lock's: left to the other process
            self.say(str(error))
            return
        with self._lock:
            self._done += 1
            self._seconds.append(time.monotonic() - start)
            left = (time.monotonic() - begun) / self._done * (count - self._done)
            end = f"{result['test_accuracy']:.2%}" if result["status"] == store.DONE else "failed"
            self.say(
                f"{self._done}/{count} runs, {clock(left)} left: {run.label}: {end} "
                f"in {clock(self._seconds[-1])}"
            )

    def _drop_what_cannot_go_on(self, run, workdir):
        """Removes an unfinished run of the same key whose config main.py would not go on from.

        Keys of logging, and keys that are new, are in no run's key.
        """
        try:
            left = json.loads((workdir / "config.json").read_text())
        except FileNotFoundError:
            return
        except ValueError:
            left = None
        if left is None or _fixed(left) != _fixed(run.flat):
            shutil.rmtree(workdir)
            self.say(f"{run.label}: an unfinished run of another config, begun anew.")

    def _trained(self, run, workdir):
        """The result of a run, or None where it was stopped."""
        arguments = self.arguments(run, workdir)
        scale = run.scale
        measure = {"examples": scale.examples, "m": scale.m, "probes": scale.probes}
        job = {
            "arguments": arguments,
            "workdir": str(workdir),
            "data_dir": self.data_dir,
            "measure": None if run.tuning or run.pictures else measure,
            "until": None if self.end is None else time.time() + self.end - time.monotonic(),
            "tf32": scale.precision == "tf32",
        }
        path = workdir.with_name("job.json")
        path.write_text(json.dumps(job))
        log = workdir.with_name("log.txt")
        with open(log, "w") as out:
            child = subprocess.Popen(
                [sys.executable, str(_CHILD), str(path)],
                cwd=runs.ROOT,
                env={
                    "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{_MEMORY / self.jobs:.2f}",
                    **os.environ,
                    **({} if run.pictures else _ONE_THREAD),
                    "PYTHONPATH": str(runs.ROOT),
                },
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # an interrupt is ours to pass on
                preexec_fn=processes.ends_with_its_parent(),
            )
            with self._lock:
                self._children.add(child)
            if self.stopped.is_set():  # since `_one` looked
                child.terminate()
            try:
                code = self._ended(child, run, log)
            finally:
                with self._lock:
                    self._children.discard(child)
        last = _last_line(log) or f"exit code {code}"
        if code == runs.PAUSED:
            self.say(f"{run.label}: {last}")
            return None
        if code in (outcome.DONE, outcome.DIVERGED):
            return finished.result_of(run, workdir, code, last)
        if not self.stopped.is_set():
            self.codes.add(code)
            why = "" if code == outcome.BAD_INPUT else f"not finished (exit code {code}): "
            self.say(f"{run.label}: {why}{last}")
        return None

    def _ended(self, child, run, log):
        """Waits for a process; of one under JAX, says its last line now and then."""
        while True:
            try:
                return child.wait(timeout=_TELL_SECONDS if self.jax else None)
            except subprocess.TimeoutExpired:
                self.say(f"  {run.label}: {_last_line(log) or 'compiling'}")

    def arguments(self, run, workdir):
        """The command line of main.py, without its name."""
        flags = runs.overrides(run.arm, run.scale, run.seed)
        return [
            f"--config={run.spec}",
            *(f"--config.{path}={value}" for path, value in flags.items()),
            f"--workdir={workdir}",
            *(self.pictures if run.pictures else ()),
            *([f"--data_dir={self.data_dir}"] if self.data_dir and not run.pictures else []),
        ]


def _fixed(flat):
    return {path: value for path, value in flat.items() if path not in FREE}


def _last_line(log):
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
