"""Eq. 9 and Theorem 3.1: other weights of the same function, and which measures tell."""
