"""Where a run computes: strategies, clusters, workers."""
