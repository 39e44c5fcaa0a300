"""predict.py: inputs -> clips while decoding -> networks -> timeline, text, JSON, pictures, films; cameras."""
