"""Imports the names of a package when they are asked for.

The package's stub, `__init__.pyi`, is the one place that lists the names and where they are
defined, by lines `from MODULE import NAME as NAME`; type checkers and editors read it too.
"""

import ast
import importlib
import pathlib
import sys


def names(file):
    """Dict of each name of a package's stub to the module that it is imported from.

    Args:
        file: `__file__` of the package.
    """
    stub = pathlib.Path(file).with_name("__init__.pyi").read_text()
    lines = [node for node in ast.parse(stub).body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module for node in lines for alias in node.names}


def attach(package, file, check=lambda name: None):
    """Gives a package the names of its stub, each imported when it is asked for.

        __getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)

    No module of the package may have the name of something else in the stub: importing the module
    would replace that.

    Args:
        package, file: `__name__` and `__file__` of the package.
        check: called with a name before it is imported; raises an error if it cannot be.

    Returns:
        The functions `__getattr__` and `__dir__` of the module, and its `__all__`.
    """
    homes = names(file)

    def get(name):
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        check(name)
        if homes[name] == package:
            return importlib.import_module(f"{package}.{name}")
        return getattr(importlib.import_module(homes[name]), name)

    def listed():
        return sorted({*vars(sys.modules[package]), *homes})

    return get, listed, sorted(homes)
