"""TV-L1 (Zach et al., 2007): one problem, solved in C++, in plain torch, by Triton's kernels and by OpenCV."""
