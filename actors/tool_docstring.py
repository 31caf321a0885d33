"""What a tool's docstring tells the model: the first paragraph, and the lines of a Google-style ``Args:`` section. Pure."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

_SECTION = re.compile(r"^[A-Z][A-Za-z ]*:$")
_ARGS = frozenset({"Args:", "Arguments:", "Parameters:"})
_ITEM = re.compile(r"^(?P<name>\w+)\s*(?:\([^)]*\))?\s*:\s*(?P<text>.*)$")


def first_paragraph(docstring: str | None) -> str:
    """Return the first paragraph as one line, or an empty string."""
    words: list[str] = []
    for line in _lines(docstring):
        if not line or _SECTION.match(line):
            break
        words.append(line.strip())
    return " ".join(words)


def argument_descriptions(docstring: str | None) -> dict[str, str]:
    """Return what the ``Args:`` section says of each parameter, each as one line."""
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    margin = 0
    for line in _args_section(docstring):
        depth = len(line) - len(line.lstrip())
        margin = margin or depth
        item = _ITEM.match(line.strip()) if depth == margin else None
        if item:
            current = found[item["name"]] = [item["text"]]
        elif current is not None:
            current.append(line.strip())
    return {name: text for name, words in found.items() if (text := " ".join(filter(None, words)))}


def _lines(docstring: str | None) -> list[str]:
    return inspect.cleandoc(docstring).splitlines() if docstring else []


def _args_section(docstring: str | None) -> Iterator[str]:
    inside = False
    for line in _lines(docstring):
        if line and not line[0].isspace():
            inside = line.strip() in _ARGS
        elif inside and line:
            yield line
