"""Models of all kinds, each tried with every feature: docs/models.md."""
