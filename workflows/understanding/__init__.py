"""utils1/grad_cam.py and utils1/layer_similarity.py: evidence of a whole video, pictures and films, tables."""
