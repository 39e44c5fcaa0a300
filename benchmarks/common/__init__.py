"""Parts of every benchmark: options, conditions of the machine, tables and JSON."""
