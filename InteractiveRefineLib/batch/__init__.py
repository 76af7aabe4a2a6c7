"""Many cases at once, on one computer or many: see `run_batch`, and Docs/batch.md."""

from .check import ManifestError
from .folder import refine_folder
from .outcome import BatchResult, CasesFailedError, Outcome
from .run import Computing, run_batch

__all__ = ["BatchResult", "CasesFailedError", "Computing", "ManifestError", "Outcome", "refine_folder", "run_batch"]
