"""Parts of every command: one error line and an exit code, options from files, names, signals."""
