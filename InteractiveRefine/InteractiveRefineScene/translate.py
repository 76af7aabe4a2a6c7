"""Translation of what the user reads; without Slicer's application the text stays as it is."""

try:
    from slicer.i18n import tr as _
except ImportError:  # slicer-core has no translations

    def _(text: str) -> str:
        """Return `text` unchanged."""
        return text


__all__ = ["_"]
