"""What is written down about data: recipes, provenance, fingerprints, manifests, quarantine."""
