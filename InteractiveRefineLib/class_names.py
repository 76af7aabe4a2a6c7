"""Whether two names mean the same structure: `Liver_1` is the liver, `R kidney` is no `left kidney`."""

from __future__ import annotations

import difflib
import functools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

#: Words about how a segment was made, not about what it is.
_NOISE = {
    "auto", "automatic", "automated", "manual", "copy", "seg", "segmentation", "mask", "label", "roi", "edited",
    "edit", "corrected", "refined", "final", "pred", "predicted", "prediction", "ai", "the", "of",
}  # fmt: skip
_SIDES = {"l": "left", "lt": "left", "left": "left", "r": "right", "rt": "right", "right": "right"}
#: Spellings of the same word; nothing here is a synonym.
_SPELLINGS = {
    "oesophagus": "esophagus", "tumour": "tumor", "oedema": "edema", "caecum": "cecum", "haematoma": "hematoma",
    "fibre": "fiber", "vertebrae": "vertebra", "clavicula": "clavicle", "bronchi": "bronchus",
}  # fmt: skip


def closest(name: str, candidates: Sequence[str]) -> str | None:
    """The candidate that is the same name differently written; None where there is none, or more than one.

    Case, word order, plural, British spelling, doubled letters, words such as "auto" or "copy" and a number behind the
    name make no difference. The side must be the same or missing in both, and so must the numbers of candidates that
    have one (ribs, vertebrae). Nothing is guessed: not "bladder" for "urinary bladder", nor one misspelled letter, for
    "ilium" and "ileum" are one letter apart.
    """
    wanted = _Meaning.of(name)
    if not wanted.words:
        return None
    meanings = [(candidate, _Meaning.of(candidate)) for candidate in dict.fromkeys(candidates)]
    alike = [(candidate, meaning) for candidate, meaning in meanings if wanted.is_like(meaning)]
    found = [candidate for candidate, meaning in alike if meaning.numbers == wanted.numbers]
    if not found and not any(meaning.numbers for _, meaning in alike):
        # "Liver_1" is a liver. But "rib 13" is no rib where ribs have numbers.
        found = [candidate for candidate, _ in alike]
    return found[0] if len(found) == 1 else None


def similar(name: str, candidates: Sequence[str]) -> str | None:
    """For "did you mean": the closest candidate, else one that is spelled alike; a hint only, never to be applied."""
    found = closest(name, candidates)
    if found is not None:
        return found
    lower = {candidate.strip().lower(): candidate for candidate in candidates}
    near = difflib.get_close_matches(name.strip().lower(), lower, 1, cutoff=0.7)
    return lower[near[0]] if near else None


@dataclass(frozen=True)
class _Meaning:
    """What a name says: its words in their order, its sides, its numbers."""

    words: tuple[str, ...]
    sides: frozenset[str]
    numbers: tuple[int, ...]

    @classmethod
    @functools.lru_cache(maxsize=1024)
    def of(cls, name: str) -> _Meaning:
        words, sides, numbers = [], set(), []
        for word in _words(name):
            if word in _SIDES:
                sides.add(_SIDES[word])
            elif word.isdigit():
                numbers.append(int(word))
            elif word not in _NOISE:
                words.append(_plain(word))
        return cls(tuple(words), frozenset(sides), tuple(numbers))

    def is_like(self, other: _Meaning) -> bool:
        """The same but for the numbers; "gall bladder" is "gallbladder"."""
        same = sorted(self.words) == sorted(other.words) or "".join(self.words) == "".join(other.words)
        return same and self.sides == other.sides


def _words(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    split = re.sub(r"([a-z])([A-Z])", r"\1 \2", plain)  # KidneyLeft
    split = re.sub(r"([A-Z])([A-Z][a-z])", r"\1 \2", split)  # LKidney
    split = re.sub(r"([A-Za-z]{3,})(\d)", r"\1 \2", split)  # Liver1, but not L1
    return re.findall(r"[a-z0-9]+", split.lower())


def _plain(word: str) -> str:
    word = _SPELLINGS.get(word, word)
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is", "as")):
        word = _SPELLINGS.get(word[:-1], word[:-1])
    return re.sub(r"([a-z])\1", r"\1", word)  # spleen, splen
