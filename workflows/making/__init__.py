"""Made-up videos on the disk, with their exact flow."""
