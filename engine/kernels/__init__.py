"""Compiled kernels: addresses in, addresses out; everything above has checked them."""
