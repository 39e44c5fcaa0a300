"""What every benchmark does: options, conditions of the machine, tables and JSON."""
