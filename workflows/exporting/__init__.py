"""export.py: what is exported (`plan`), in which format (`formats`), and that it is right (`checks`)."""
