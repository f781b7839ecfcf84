"""`Resume`: continues any `fit` after a kill, to the same bits."""
