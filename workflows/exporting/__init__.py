"""export.py: the exported networks (`plan`), file formats (`formats`), and numerical parity (`parity`)."""
