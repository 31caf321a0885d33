"""What can be picked out of a sentence: numbers, quotes, names, codes, the object of a preposition. Pure."""

from __future__ import annotations

import re

from .vocabulary import NUMBER_WORDS, OPENERS, STOP_WORDS

_NUMBER = re.compile(r"(?<![\w.#-])[-+]?\d+(?:\.\d+)?(?![\w-]|\.\d)")
_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|(?<!\w)'([^']+)'(?!\w)|«([^»]+)»")
_CODE = re.compile(r"#?\b(?=[\w-]*\d)[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*\b")
_CAPITALISED = re.compile(r"\b[^\W\d_a-z][\w'-]*(?:\s+[^\W\d_a-z][\w'-]*)*")
_OBJECT = re.compile(r"\b(?:in|for|at|of|near|about|around)\s+([^?!.;:]+)", re.IGNORECASE)
_SEPARATOR = re.compile(
    r"\s*(?:,|&|\band\b|\bor\b|\bthen\b)\s*(?:(?:in|for|at|of|near|about)\s+)?", re.IGNORECASE
)
_POSSESSIVE = re.compile(r"'s$")


def numbers_in(text: str, *, with_words: bool = True) -> list[float | int]:
    """Return the numbers in order, written with digits or (up to twelve) as words."""
    found: list[tuple[int, float | int]] = []
    for match in _NUMBER.finditer(text):
        literal = match.group()
        found.append((match.start(), float(literal) if "." in literal else int(literal)))
    if with_words:
        for match in re.finditer(r"[a-z]+", text.lower()):
            if match.group() in NUMBER_WORDS:
                found.append((match.start(), NUMBER_WORDS.index(match.group())))
    return [value for _, value in sorted(found)]


def quoted_in(text: str) -> list[str]:
    """Return what stands in quotation marks."""
    return [next(part for part in match.groups() if part) for match in _QUOTED.finditer(text)]


def codes_in(text: str) -> list[str]:
    """Return tokens with a digit in them (`A-17`, `1234`), without a leading `#`."""
    return [match.group().removeprefix("#") for match in _CODE.finditer(text)]


def names_in(text: str, without: frozenset[str] = frozenset()) -> list[str]:
    """Return the capitalised words and phrases, except those that open a sentence or are in `without`."""
    found: list[str] = []
    for match in _CAPITALISED.finditer(text):
        words = [_POSSESSIVE.sub("", word) for word in match.group().split()]
        while words and _is_ordinary(words[0], without):
            words.pop(0)
        while words and _is_ordinary(words[-1], without):
            words.pop()
        name = " ".join(words)
        if name and name not in found:
            found.append(name)
    return found


def objects_in(text: str, without: frozenset[str] = frozenset()) -> list[str]:
    """Return what prepositions point at (`in paris and tokyo` gives both), whatever the case."""
    found: list[str] = []
    for match in _OBJECT.finditer(text):
        for phrase in _SEPARATOR.split(match.group(1)):
            cleaned = content_of(phrase, without)
            if cleaned and cleaned not in found:
                found.append(cleaned)
    return found


def content_of(text: str, without: frozenset[str] = frozenset()) -> str:
    """Return a text without the words that carry no content, and without those in `without`."""
    kept = [word for word in re.findall(r"[\w'-]+", text) if not _is_ordinary(word, without, STOP_WORDS)]
    return " ".join(kept)


def _is_ordinary(word: str, without: frozenset[str], common: frozenset[str] = OPENERS) -> bool:
    bare = _POSSESSIVE.sub("", word).lower()
    return bare in common or bare in without or word.lower() in common
