"""A piece of the wire for people: a frame a line, in order, long runs and long values shortened. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

_MAX_LINES = 40
_MAX_FIELDS = 110
_MAX_VALUE = 40
_CONTEXT = 2
_NOISE = frozenset(
    {
        "input_audio_buffer.append",
        "response.output_audio.delta",
        "response.output_audio_transcript.delta",
        "response.output_text.delta",
        "response.function_call_arguments.delta",
    }
)
_LEFT_OUT = frozenset({"type", "event_id", "obfuscation", "object"})


class Frame(Protocol):
    """What is known of a frame."""

    @property
    def position(self) -> int:
        """Its place in the log."""
        ...

    @property
    def direction(self) -> str:
        """`sent` by a client or `received` by one."""
        ...

    @property
    def connection(self) -> int:
        """Which connection it belongs to."""
        ...

    @property
    def type(self) -> str | None:
        """The event's type, or None."""
        ...

    def parsed(self) -> Mapping[str, Any]:
        """Return the event."""
        ...


def excerpt(frames: Sequence[Frame], marked: Collection[int] = ()) -> str:
    """Return the frames as lines, oldest first; those at the `marked` positions with a `>` before them.

    If there are too many, the marked ones with what is next to them, or without marks the newest.
    """
    if not frames:
        return "  (nothing)"
    marks = frozenset(marked)
    lines = list(_lines(frames, marks))
    if len(lines) <= _MAX_LINES:
        return "\n".join(text for text, _ in lines)
    return "\n".join(_shortened(lines))


def summary(event: Mapping[str, Any]) -> str:
    """Return an event in one line: its type and the beginning of its fields."""
    kind = event.get("type")
    if not isinstance(kind, str):
        return f"not an event: {_short(event.get('frame', event))}"
    fields = ", ".join(f"{path}={_short(value)}" for path, value in _leaves(event, ""))
    if len(fields) > _MAX_FIELDS:
        fields = f"{fields[: _MAX_FIELDS - 1]}\u2026"
    return f"{kind}  {fields}".rstrip()


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            if name not in _LEFT_OUT or (path and name == "type"):
                yield from _leaves(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}.{index}")
    else:
        yield path, value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_VALUE else f"{text[: _MAX_VALUE - 1]}\u2026"


def _lines(frames: Sequence[Frame], marks: frozenset[int]) -> Iterator[tuple[str, bool]]:
    index = 0
    while index < len(frames):
        first = frames[index]
        end = index + 1
        while end < len(frames) and _is_run(first, frames[end], marks):
            end += 1
        n = end - index
        arrow = "->" if first.direction == "sent" else "<-"
        is_marked = first.position in marks
        what = summary(first.parsed()) if n == 1 else f"{n} x {first.type}"
        yield f"{'>' if is_marked else ' '} {first.position:>5}  {first.connection} {arrow} {what}", is_marked
        index = end


def _is_run(first: Frame, other: Frame, marks: frozenset[int]) -> bool:
    """Tell whether two frames go into one line: the same noise, and nobody asked for either of them."""
    return (
        first.type in _NOISE
        and (first.type, first.direction, first.connection) == (other.type, other.direction, other.connection)
        and first.position not in marks
        and other.position not in marks
    )


def _shortened(lines: Sequence[tuple[str, bool]]) -> Iterator[str]:
    marked = [index for index, (_, is_marked) in enumerate(lines) if is_marked]
    keep: set[int] = set()
    for index in marked:
        keep |= set(range(max(0, index - _CONTEXT), min(len(lines), index + _CONTEXT + 1)))
    chosen = sorted(keep)[:_MAX_LINES] if keep else range(len(lines) - _MAX_LINES, len(lines))
    last = -1
    for index in chosen:
        if index > last + 1:
            yield f"         ({index - last - 1} more)"
        yield lines[index][0]
        last = index
    if last + 1 < len(lines):
        yield f"         ({len(lines) - last - 1} more)"
