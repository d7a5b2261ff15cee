"""Measures Bittern against other engines: ``python -m benchmarks kernels``, ``networks``, ``report`` (make bench)."""
