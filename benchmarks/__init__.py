"""Measures Bittern against other engines and itself: ``python -m benchmarks --help``.

``rows`` are the CSV files, ``measure`` fills them, ``tables`` makes pages and plots of them; imports point
from the last to the first.
"""
