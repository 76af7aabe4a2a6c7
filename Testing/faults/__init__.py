"""Faults that we inject, and what is kept when they strike; `python -m Testing.faults` prints the table."""
