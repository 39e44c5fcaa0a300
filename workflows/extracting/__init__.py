"""utils1/extract_*.py: videos to folders of frames and flow."""
