"""Parts of networks that know no network: pooling, products, residual blocks, gradients, shapes without numbers."""
