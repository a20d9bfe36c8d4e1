"""Benchmarks: how fast, how much memory, and how both grow; ratios of one run, no promises."""
