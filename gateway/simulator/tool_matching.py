"""Which of the offered tools a text asks for. Pure.

By words: those of a tool's name first, then those of its description.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .vocabulary import GENERIC_IN_TOOLS, SYNONYMS

Tool = Mapping[str, Any]

_CLAUSE = re.compile(r"\s*(?:[,;?!]|\.(?=\s|$)|\band\b|\bthen\b|\balso\b)\s*")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[a-z0-9]+")
_MIN_DESCRIPTION_HITS = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tool that is asked for, and the part of the text that is about it."""

    tool: Tool
    text: str


def stem(word: str) -> str:
    """Return a word without the commonest English endings, so that `adding` and `orders` are found."""
    for ending in ("ing", "es", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def words_in(text: str) -> frozenset[str]:
    """Return the words of a text, as they are and stemmed."""
    words = _WORD.findall(text.lower())
    return frozenset(words) | frozenset(map(stem, words))


def name_words(tool: Tool) -> frozenset[str]:
    """Return the words of a tool's name that say what it does (all of them, if none does)."""
    words = _WORD.findall(_CAMEL.sub(" ", tool.get("name") or "").lower().replace("_", " "))
    telling = frozenset(word for word in words if word not in GENERIC_IN_TOOLS)
    return telling or frozenset(words)


def matching(tools: Sequence[Tool], text: str) -> list[Wanted]:
    """Return the tools that the text asks for, in its order, each with its part of the text."""
    chosen = _mentioned(tools, text) or _best_by_name(tools, text) or _best_by_description(tools, text)
    if len(chosen) < 2:
        return [Wanted(tool, text) for tool in chosen]
    chosen.sort(key=lambda tool: _first_hit(tool, text))
    return [Wanted(tool, _part_about(tool, chosen, text)) for tool in chosen]


def _mentioned(tools: Sequence[Tool], text: str) -> list[Tool]:
    """Return the tools that are called by their very name (`call get_weather for Paris`)."""
    return [
        tool
        for tool in tools
        if "_" in (tool.get("name") or "") and re.search(rf"\b{re.escape(tool['name'])}\b", text)
    ]


def _hits(tool: Tool, words: frozenset[str]) -> frozenset[str]:
    return frozenset(
        word for word in name_words(tool) if (SYNONYMS.get(word, frozenset()) | {word, stem(word)}) & words
    )


def _first_hit(tool: Tool, text: str) -> int:
    """Return where in the text the tool is first asked for."""
    for match in _WORD.finditer(text.lower()):
        if _hits(tool, frozenset((match.group(), stem(match.group())))):
            return match.start()
    return len(text)


def _best_by_name(tools: Sequence[Tool], text: str) -> list[Tool]:
    words = words_in(text)
    scored = [(tool, _hits(tool, words)) for tool in tools]
    return [
        tool
        for tool, hits in scored
        if hits and not any(_beats(other, other_hits, tool, hits) for other, other_hits in scored)
    ]


def _beats(one: Tool, one_hits: frozenset[str], other: Tool, other_hits: frozenset[str]) -> bool:
    """Tell whether a tool makes another one superfluous: it hits the same words and more, or misses fewer."""
    if one is other or not other_hits <= one_hits:
        return False
    return other_hits < one_hits or len(name_words(one)) < len(name_words(other))


def _best_by_description(tools: Sequence[Tool], text: str) -> list[Tool]:
    words = words_in(text) - GENERIC_IN_TOOLS
    counts = [len((words_in(tool.get("description") or "") - GENERIC_IN_TOOLS) & words) for tool in tools]
    best = max(counts, default=0)
    return [tools[counts.index(best)]] if best >= _MIN_DESCRIPTION_HITS else []


def _part_about(tool: Tool, chosen: Sequence[Tool], text: str) -> str:
    """Return the clauses in which a tool is asked for; one that asks for none goes with the one before."""
    parts: list[str] = []
    is_about = False
    for clause in _CLAUSE.split(text):
        words = words_in(clause)
        asked = [candidate for candidate in chosen if _hits(candidate, words)]
        if asked:
            is_about = any(candidate is tool for candidate in asked)
        if is_about and clause:
            parts.append(clause)
    return " and ".join(parts) or text
