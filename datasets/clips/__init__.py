"""From frames to clips: which frames (sampling), which part of them (views, crops), how they look (augment)."""
