"""Decoding: image files, JPEG in C++ (jpeg/) and video files (video/)."""
