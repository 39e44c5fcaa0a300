"""Metadata of data sets: recipes, provenance, fingerprints, manifests, quarantine."""
