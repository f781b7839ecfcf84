"""Environments of other Pythons and versions, and what ran in them: tools/matrix.py."""
