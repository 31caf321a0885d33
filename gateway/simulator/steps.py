"""What a brain answers with: frozen step values, played one after another. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class Latch(Protocol):
    """Something that opens once; `Gate` is the one for tests."""

    def when_open(self, wake: Callable[[], None]) -> None:
        """Call `wake` (quick, possibly more than once) when it is open, or at once if it is already."""
        ...


@dataclass(frozen=True, slots=True)
class Pause:
    """Send nothing for `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Send nothing until `gate` is open; cancelling and stopping do not wait for it."""

    gate: Latch


Chunk = str | Pause | Hold
"""A part of a streamed text: one delta, or a wait between two."""


@dataclass(frozen=True, slots=True)
class Say:
    """Answer with an assistant message, as text or as speech with its transcript: whatever the session's modality is.

    Args:
        text: A string, sent a word per delta; or the deltas themselves, with `Pause` and `Hold` between them.
        delay_s: Seconds between two deltas; None takes the simulator's `delta_interval_s`.
    """

    text: str | Iterable[Chunk]
    delay_s: float | None = None

    def __post_init__(self) -> None:
        _freeze(self, "text")


@dataclass(frozen=True, slots=True)
class Speak:
    """Answer as `Say` does, with a chosen length of sound per word (in a text session: as text).

    Args:
        text: As in `Say`.
        word_ms: Milliseconds of tone per delta.
        delay_s: As in `Say`.
    """

    text: str | Iterable[Chunk]
    word_ms: int = 200
    delay_s: float | None = None

    def __post_init__(self) -> None:
        _freeze(self, "text")


@dataclass(frozen=True, slots=True)
class PlayAudio:
    """Answer with sound of one's own (in a text session: with its transcript as text).

    Args:
        pcm: 16 bit little endian, mono, 24 kHz: bytes, or an array of int16.
        transcript: What is said in it; sent a word at a time, evenly over the sound.
        piece_ms: Milliseconds of sound per delta.
        delay_s: As in `Say`.

    Raises:
        ValueError: Half a sample, or a piece without length: the caller's fault.
    """

    pcm: bytes
    transcript: str = ""
    piece_ms: int = 100
    delay_s: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "pcm", bytes(self.pcm))
        if len(self.pcm) % 2:
            raise ValueError(f"pcm holds 16-bit samples; {len(self.pcm)} bytes are an odd number")
        if self.piece_ms < 1:
            raise ValueError(f"piece_ms must be 1 or more, not {self.piece_ms}")

    def __repr__(self) -> str:
        return f"PlayAudio({len(self.pcm) // 48} ms, transcript={self.transcript!r})"


@dataclass(frozen=True, slots=True)
class CallTool:
    """Answer with a function call.

    Args:
        name: The function to call; it need not be one that was offered.
        arguments: An object; or a string, sent as it is (it may be broken JSON); or the deltas, with waits between.
        call_id: None makes one up.
        delay_s: As in `Say`.
    """

    name: str
    arguments: Mapping[str, Any] | str | Iterable[Chunk]
    call_id: str | None = None
    delay_s: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.arguments, Mapping):
            _freeze(self, "arguments")


@dataclass(frozen=True, slots=True)
class CallMcp:
    """Answer with a call of a remote MCP server's tool, which the service makes itself: its outcome is given here.

    Where the call has to be approved, an approval request is answered with instead; once the client has granted it (an item
    `mcp_approval_response`), the same step makes the call.

    Args:
        server_label: The server, as the client's tool names it.
        name: The tool to call; it need not be one that was listed.
        arguments: As in `CallTool`.
        output: What the call gives.
        error: Why it fails: a text is an error of the tool; or the wire's object (`http_error`, `protocol_error`).
        needs_approval: None goes by the `require_approval` of the client's tool.
        delay_s: As in `Say`.
    """

    server_label: str
    name: str
    arguments: Mapping[str, Any] | str | Iterable[Chunk]
    output: str = ""
    error: str | Mapping[str, Any] | None = None
    needs_approval: bool | None = None
    delay_s: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.arguments, Mapping):
            _freeze(self, "arguments")


@dataclass(frozen=True, slots=True)
class Fail:
    """End the response with status `failed` and this error."""

    code: str
    message: str
    type: str = "server_error"


@dataclass(frozen=True, slots=True)
class Incomplete:
    """End the response with status `incomplete` (`max_output_tokens` or `content_filter`)."""

    reason: str = "max_output_tokens"


Step = Say | Speak | PlayAudio | CallTool | CallMcp | Fail | Incomplete | Pause | Hold
"""What a brain answers with, one after another."""


def _freeze(step: object, field: str) -> None:
    value = getattr(step, field)
    if not isinstance(value, str):
        object.__setattr__(step, field, tuple(value))
