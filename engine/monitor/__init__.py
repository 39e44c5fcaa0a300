"""What is seen of a run and what it writes down: progress, pace, logs, profiles."""
