"""Parts of networks that know no network: pooling, pointwise products, gradients, shapes without numbers."""
