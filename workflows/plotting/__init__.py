"""utils1/plot_run.py: what runs wrote down, as curves."""
