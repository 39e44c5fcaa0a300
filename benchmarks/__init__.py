"""Benchmarks, a script each: speed as ratios to a reference in the same run, accuracy of flow where it is known."""
