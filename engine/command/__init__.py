"""What every command shares: one error line and an exit code, options from files, names, locks, signals."""
