"""Benchmarks: ratios against what one would write by hand, measured side by side. Run: make bench."""
