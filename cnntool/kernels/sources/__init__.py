"""What Numba compiles. Nothing here is imported by a program whose kernels are all in the cache.

The grammar of a kernel's name is `<operation>_<method>_<direction>`. Kernels are serial, release Python's lock and work
on a range of rows; volumes are C-contiguous float32, height x width x channels. A kernel trusts its caller: checking,
allocating and defaults are done before it.
"""
