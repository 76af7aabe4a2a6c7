"""Which case names can be folder names on every system, and when two of them would be one folder."""

from __future__ import annotations

import unicodedata

#: Beside the cases' own folders, the output folder holds these.
BATCH_FOLDER = "_batch"
TAKEN_NAMES = (BATCH_FOLDER, "summary.csv", "summary.md", "timings.csv")

_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "123456789")}
#: Not allowed by Windows; results travel.
_FORBIDDEN = '/\\:*?"<>|'
#: File systems allow 255 bytes; temporary names need some of them.
_MAX_BYTES = 200


def problem_with_name(name: str) -> str | None:
    """Why `name` cannot name a case, as half a sentence; None when it can."""
    if not name:
        return "is empty; give each case a name, which becomes the name of its folder"
    bad = sorted({c for c in name if c in _FORBIDDEN or unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")})
    if bad:
        shown = " ".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in bad)
        return f"has {shown}, which cannot be part of a folder's name everywhere"
    if name[0] in ".=+@":  # hidden folders; and spreadsheets take such a cell of the summary for a formula
        return f"begins with {name[0]}; begin with a letter or a number"
    if name[-1] == "." or name != name.strip():
        return "begins or ends with a space, or ends with a dot, which Windows drops"
    if name.split(".")[0].strip().casefold() in _DEVICES:
        return "is the name of a device on Windows"
    if folded(name) in TAKEN_NAMES:
        return "is what this program calls a file or folder of its own"
    if len(name.encode()) > _MAX_BYTES:
        return f"is longer than {_MAX_BYTES} bytes"
    return None


def folded(name: str) -> str:
    """Equal for names that are one folder on some systems: upper and lower case, composed and decomposed letters."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
