"""JPEG images, decoded by a library in C++ where a view looks."""
