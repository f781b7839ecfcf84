"""The Hessian of the mean loss: products with it, its trace, largest eigenvalues and spectrum."""
