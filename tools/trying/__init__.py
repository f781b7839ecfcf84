"""Tries every feature with models of many kinds, for docs/models.md."""
