"""Devices: processes of one run, number formats, prefetching, hardware, seeds."""
