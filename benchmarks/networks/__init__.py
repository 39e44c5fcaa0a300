"""Running networks: the configurations under comparison."""
