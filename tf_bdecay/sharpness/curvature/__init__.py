"""The Hessian of the mean loss: its products, trace, largest eigenvalues and spectrum."""
