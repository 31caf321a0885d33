"""A sentence made of a tool's output. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from .conversation import Item

_MAX_DEPTH = 4


def answer_from(outputs: Sequence[tuple[Item, Item]]) -> str:
    """Return an answer that names every output.

    Args:
        outputs: Function calls, each with its `function_call_output`.
    """
    return " ".join(_sentence(call, output.get("output", "")) for call, output in outputs)


def _sentence(call: Item, output: str) -> str:
    value = _parsed(output)
    if isinstance(value, Mapping) and set(value) == {"error"}:
        return _ended(f"{call.get('name')} did not work: {in_words(value['error'])}")
    about = _subject(call)
    said = in_words(value) or "done"
    if about and about.lower() not in said.lower():
        return _ended(f"{about}: {said}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _ended(f"The answer is {said}")
    return _ended(said[:1].upper() + said[1:])


def _subject(call: Item) -> str:
    """Return what the call was about: its only text argument."""
    arguments = _parsed(call.get("arguments", ""))
    if not isinstance(arguments, Mapping):
        return ""
    texts = [value for value in arguments.values() if isinstance(value, str) and value]
    return texts[0] if len(texts) == 1 else ""


def in_words(value: Any, depth: int = 0) -> str:
    """Return a JSON value as words: objects as "key value" pairs, lists joined by commas."""
    if isinstance(value, str):
        return value.strip()
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if depth >= _MAX_DEPTH or not isinstance(value, Mapping | list):
        return str(value)
    if isinstance(value, list):
        return ", ".join(in_words(member, depth + 1) for member in value)
    return ", ".join(
        f"{key.replace('_', ' ')} {in_words(member, depth + 1)}" for key, member in value.items()
    )


def _parsed(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return text


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else sentence + "."
