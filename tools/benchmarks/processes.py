"""A case that runs in a process of its own, and takes its turns with the others all the same.

What one case leaves behind in a process (memory, threads, compiled code) makes the next one up to
1.7 times slower. And some peers need another environment, or another backend.
"""

import json
import os
import pathlib
import subprocess
import sys

from tf_bdecay.errors import require

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Case:
    """A function without arguments that is a call in another process.

    Args:
        module: name of a module beside this one, whose `serve_case(arguments)` returns the function
            to be called.
        arguments: dict for it, of what JSON can hold.
        python: the interpreter; this one's by default.
        **environment: environment variables of the process.
    """

    def __init__(self, module, arguments, python=sys.executable, **environment):
        self.figures = {}
        call = f"serve({module!r}, {json.dumps(arguments)!r})"
        code = f"from tools.benchmarks.processes import serve; {call}"
        self._process = subprocess.Popen(
            [python, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )
        self._name = f"{module} {arguments}"
        self._answer()

    def __call__(self):
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.figures = self._answer()

    def close(self):
        """Ends the process."""
        self._process.kill()
        self._process.wait()

    def _answer(self):
        line = self._process.stdout.readline()
        require(line, f"The process of a benchmark ended early: {self._name}; its words are above.")
        return json.loads(line)


def serve(module, arguments):
    """Makes a module's case, and calls it once for every line that comes in; runs in the child."""
    import importlib

    from tf_bdecay.frameworks import quirks

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed is no answer
    with quirks.silent_stderr():
        call = importlib.import_module(f"tools.benchmarks.{module}").serve_case(
            **json.loads(arguments)
        )
    while True:
        print(json.dumps(_figures(call)), file=answers, flush=True)
        if not sys.stdin.readline():
            return
        call()


def _figures(call):
    return {"MB at most": round(megabytes("VmHWM")), **getattr(call, "figures", {})}


def megabytes(key):
    """Memory of this process: "VmRSS" now, "VmHWM" at its peak.

    Not getrusage, whose peak is the parent's before the process began.
    """
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition(f"{key}:")[2].split()[0]) / 1024
