"""Batches: samples read by threads or processes, failures set aside, flow computed on the way."""
