"""Sources of the kernels, compiled by Numba. Not imported if all kernels are in the cache.

Kernels are named `<operation>_<method>_<direction>`. They are single-threaded, release the GIL and work on a range of
rows; volumes are C-contiguous float32, height x width x channels. A kernel trusts its caller to check, allocate and
fill in defaults.
"""
