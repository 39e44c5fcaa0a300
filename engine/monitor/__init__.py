"""Monitoring of a run: progress, pace, logs, profiles."""
