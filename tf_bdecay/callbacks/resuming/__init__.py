"""`Resume`: anybody's `fit` goes on after a kill, to the same bits."""
