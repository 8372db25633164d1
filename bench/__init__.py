"""Benchmarks: each runs ours and the other contender in one go and reports their ratio."""
