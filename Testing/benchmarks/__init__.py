"""Benchmarks: what they print are measurements of the machine they ran on, side by side; none of them is a test."""
