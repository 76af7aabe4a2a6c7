"""Evidence on real data: every method, the same robot user, tables and figures (`python -m Testing.evidence`)."""
