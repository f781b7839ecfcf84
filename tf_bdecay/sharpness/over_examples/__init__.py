"""A model, a loss and examples: gradients by example, and sums over chunks that memory holds."""
