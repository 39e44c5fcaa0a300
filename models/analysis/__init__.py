"""What networks cost (flops), where they look (gradcam), and how alike their features are (similarity)."""
