"""Benchmarks: speed as ratios to a reference in the same run, accuracy of flow on synthetic images with exact flow."""
