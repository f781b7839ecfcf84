"""Cases that run in a process of their own and still take turns with the others.

What one case leaves behind in a process (memory, threads, compiled code) makes the next one up to
1.7 times slower. Besides, some peers need another environment or another backend.
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
        module: name of a module beside this one, whose `serve_case(**arguments)` returns the
            function to call.
        arguments: dict of its arguments, which JSON must be able to hold.
        python: the interpreter; by default the one that runs this process.
        **environment: additional environment variables of the process.
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
        require(line, f"The process of a benchmark ended early: {self._name}; its output is above.")
        return json.loads(line)


def serve(module, arguments):
    """Makes a module's case and calls it once per line on stdin; runs in the child process."""
    import importlib

    from tf_bdecay.frameworks import quirks

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # keeps whatever else is printed out of the answers
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
    """Memory of this process in MB: "VmRSS" for now, "VmHWM" for its peak.

    Not by getrusage, whose peak includes the parent's from before this process began.
    """
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition(f"{key}:")[2].split()[0]) / 1024
