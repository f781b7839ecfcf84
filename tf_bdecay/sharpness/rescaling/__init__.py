"""Eq. 9 and Theorem 3.1: other weights for the same function, and which measures notice."""
