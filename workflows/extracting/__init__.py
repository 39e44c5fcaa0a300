"""utils1/extract_*.py and flow tools: videos to folders of frames and flow."""
