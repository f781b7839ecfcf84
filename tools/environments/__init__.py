"""Environments with other versions of Python and the dependencies, for tools/matrix.py."""
