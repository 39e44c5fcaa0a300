"""Networks, trainings and tests of the comparison of systems."""
