"""Flow solvers under comparison: which there are, on which real pairs, and their tables."""
