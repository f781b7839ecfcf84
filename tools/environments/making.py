"""Makes an environment with the package's wheel and chosen versions of its dependencies."""

import glob
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from typing import NamedTuple

from packaging.requirements import Requirement

TESTING = ("pytest", "hypothesis", "optax")  # always the newest versions


class Row(NamedTuple):
    """An environment to try, which is a row of the page.

    Attributes:
        name: the row's name.
        python: version of Python, such as "3.12".
        ends: "oldest" or "newest", the end of every package's range of versions.
        pins: requirements that take precedence, such as "keras==3.13.*".
    """

    name: str
    python: str
    ends: str
    pins: tuple = ()


class Failed(Exception):
    """A step of a row failed; the message is the end of its output."""


def interpreter(version):
    """The path of a Python of this version, from PATH or pyenv; None if there is none."""
    home = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    found = [shutil.which(f"python{version}"), *sorted(glob.glob(f"{home}/versions/{version}.*"))]
    for path in filter(None, found):
        path = os.path.join(path, "bin", "python") if os.path.isdir(path) else path
        code = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([path, "-c", code], capture_output=True, text=True)
        if done.stdout.strip() == version:
            return path
    return None


def wheel(root, folder):
    """Builds the wheel of a repository in a folder, and returns its path."""
    clean = pathlib.Path(folder, "tree")  # a copy, because a build leaves files behind
    keep = ("tf_bdecay", "configs", "setup.py", "pyproject.toml", "README.md", "LICENSE")
    clean.mkdir()
    for name in keep:
        copy = shutil.copytree if (root / name).is_dir() else shutil.copy
        copy(root / name, clean / name)
    run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(clean)])
    shutil.rmtree(clean)
    (path,) = pathlib.Path(folder).glob("*.whl")
    return path


def requirements(path, extras):
    """List of `Requirement` from a wheel's metadata: those of the core and of some extras."""
    with zipfile.ZipFile(path) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        said = Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist")
    found = {}
    for line in said:
        one = Requirement(line)
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras):
            one.marker = None
            found.setdefault(one.name, one)
    return list(found.values())


def oldest(requirement):
    """The oldest series in a requirement's range: keras>=3.12,<3.16 gives keras==3.12.*."""
    (lower,) = [one.version for one in requirement.specifier if one.operator == ">="]
    return f"{requirement.name}=={lower}.*"


def wanted(row, path, extras):
    """The requirements that are installed for a row, as a list of strings."""
    pinned = {Requirement(pin).name for pin in row.pins}
    rest = [one for one in requirements(path, extras) if one.name not in pinned]
    return [*row.pins, *(oldest(one) if row.ends == "oldest" else str(one) for one in rest)]


def make(row, folder, path, extras):
    """Makes a row's environment, and returns the path of its Python.

    Raises:
        Failed: this Python is missing, or these versions cannot be installed together.
    """
    python = interpreter(row.python)
    if python is None:
        raise Failed(f"no Python {row.python} here")
    run([python, "-m", "venv", "--without-pip", str(folder)])
    inside = str(pathlib.Path(folder, "bin", "python"))
    asked = [*wanted(row, path, extras), *TESTING]
    run([*_installer(inside), *asked])
    run([*_installer(inside), "--no-deps", str(path)])
    return inside


def _installer(python):
    """The command that installs into an environment: uv's if it is installed, as it is faster."""
    for uv in (["uv"], [sys.executable, "-m", "uv"]):
        if shutil.which(uv[0]) and (len(uv) == 1 or importlib.util.find_spec("uv")):
            return [*uv, "pip", "install", "--quiet", "--python", python]
    return [sys.executable, "-m", "pip", "--python", python, "install", "-qq"]


def run(command, **kwargs):
    """Runs a command and returns its output.

    Raises:
        Failed: the command failed; the message is the last paragraph of its output.
    """
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kwargs
    )
    if done.returncode:
        raise Failed(last_words(done.stdout) or f"exit code {done.returncode}")
    return done.stdout


def last_words(text):
    """The last paragraph of an output as one line, without terminal colours."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", text).strip()
    return " ".join(plain.split("\n\n")[-1].split())[-300:]
