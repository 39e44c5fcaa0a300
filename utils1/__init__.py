"""The commands beside those in the root; run them by path, `python utils1/NAME.py --help`."""
