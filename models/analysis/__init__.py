"""Analysis of networks: cost (flops), Grad-CAM (gradcam) and similarity of features (similarity)."""
