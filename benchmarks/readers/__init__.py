"""Loading clips: the published loader, storage forms, worker processes, and their tables."""
