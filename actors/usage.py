"""What a session cost: tokens by modality, summed over its responses and transcriptions. Pure.

Source: the session contract, statement 15; ``response.done`` and ``conversation.item.input_audio_transcription.completed``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..gateway.wire_types import CachedTokens, InputTokens, OutputTokens, TranscriptionUsage, Usage
from .session_log import Entry, TokensUsed, TranscriptionUsed

__all__ = ["SessionUsage", "TranscriptionTotals", "UsageMeter", "as_mapping"]


class TranscriptionTotals(msgspec.Struct, frozen=True):
    """What transcribing the user cost: tokens, or seconds of audio, as the provider counts."""

    n_transcriptions: int = 0
    total_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0


class SessionUsage(msgspec.Struct, frozen=True):
    """What a session cost so far, across reconnects and restarts.

    Attributes:
        n_responses: how many responses reported what they cost.
        tokens: their sum, with the details by modality, cached ones included.
        transcription: what transcribing the user's speech cost.
    """

    n_responses: int = 0
    tokens: Usage = Usage(input_token_details=InputTokens(), output_token_details=OutputTokens())
    transcription: TranscriptionTotals = TranscriptionTotals()


def as_mapping(usage: Usage | None) -> Mapping[str, Any] | None:
    """Return one response's usage as its event has it: with every count, those that are zero too, whatever the wire left out."""
    return None if usage is None else _fields(usage)


def _fields(value: msgspec.Struct) -> dict[str, Any]:
    fields = msgspec.structs.asdict(value)
    return {
        name: _fields(field) if isinstance(field, msgspec.Struct) else field for name, field in fields.items()
    }


class UsageMeter:
    """Sums up the entries of a session log that tell of cost."""

    def __init__(self) -> None:
        self._used = SessionUsage()

    def apply(self, entry: Entry) -> None:
        """Take in one entry of the log."""
        used = self._used
        match entry:
            case TokensUsed(usage):
                self._used = msgspec.structs.replace(
                    used, n_responses=used.n_responses + 1, tokens=_sum(used.tokens, usage)
                )
            case TranscriptionUsed(usage):
                self._used = msgspec.structs.replace(used, transcription=_add(used.transcription, usage))
            case _:
                pass

    def read(self) -> SessionUsage:
        """Return the sums."""
        return self._used


def _sum(total: Usage, more: Usage) -> Usage:
    return Usage(
        total_tokens=total.total_tokens + more.total_tokens,
        input_tokens=total.input_tokens + more.input_tokens,
        output_tokens=total.output_tokens + more.output_tokens,
        input_token_details=_sum_input(total.input_token_details, more.input_token_details),
        output_token_details=_sum_output(total.output_token_details, more.output_token_details),
    )


def _sum_input(total: InputTokens | None, more: InputTokens | None) -> InputTokens:
    total, more = total or InputTokens(), more or InputTokens()
    cached, more_cached = (
        total.cached_tokens_details or CachedTokens(),
        more.cached_tokens_details or CachedTokens(),
    )
    return InputTokens(
        audio_tokens=total.audio_tokens + more.audio_tokens,
        image_tokens=total.image_tokens + more.image_tokens,
        text_tokens=total.text_tokens + more.text_tokens,
        cached_tokens=total.cached_tokens + more.cached_tokens,
        cached_tokens_details=CachedTokens(
            audio_tokens=cached.audio_tokens + more_cached.audio_tokens,
            image_tokens=cached.image_tokens + more_cached.image_tokens,
            text_tokens=cached.text_tokens + more_cached.text_tokens,
        ),
    )


def _sum_output(total: OutputTokens | None, more: OutputTokens | None) -> OutputTokens:
    total, more = total or OutputTokens(), more or OutputTokens()
    return OutputTokens(
        audio_tokens=total.audio_tokens + more.audio_tokens,
        text_tokens=total.text_tokens + more.text_tokens,
    )


def _add(total: TranscriptionTotals, more: TranscriptionUsage) -> TranscriptionTotals:
    return TranscriptionTotals(
        n_transcriptions=total.n_transcriptions + 1,
        total_tokens=total.total_tokens + more.total_tokens,
        input_tokens=total.input_tokens + more.input_tokens,
        output_tokens=total.output_tokens + more.output_tokens,
        seconds=total.seconds + (more.seconds or 0.0),
    )
