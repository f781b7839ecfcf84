"""Gradients of a model's loss per example, and sums over chunks that fit in memory."""
