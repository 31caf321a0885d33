"""One response: turns a brain's steps into the wire's events, in the wire's order. Pure.

`ResponseRun.perform` is a generator, pulled by the shell: it yields bursts of events that belong together, and between them
the pauses and holds that the shell has to wait out. What has not been pulled has not happened, so a cancel between two pulls
cuts exactly there: between bursts, never in one.

Source: protocol.md A.6, A.8.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from .audio_body import AudioBody
from .conversation import Conversation
from .ids import Event, Ids
from .item_list import ItemList
from .mcp import approved_by, must_ask
from .mcp_item import ApprovalBody, McpCallBody
from .output_item import Body, CallBody, OutputItem, TextBody
from .place import Place
from .recorded_sound import from_pcm, pieces_of, spread
from .steps import CallMcp, CallTool, Chunk, Fail, Hold, Incomplete, Pause, PlayAudio, Say, Speak, Step
from .token_count import Context, audio_tokens, usage
from .wake import Wake

Action = list[Event] | Pause | Hold | Wake
"""What the shell does next: send a burst of events, wait, or set a timer."""

_WORDS = re.compile(r"\s*\S+|\s+")
_ARGUMENT_PIECES = re.compile(r"\w+|\W+")
_WORD_MS = 200


def words_of(text: str) -> list[str]:
    """Split a text into deltas: a word each, with the space before it."""
    return _WORDS.findall(text)


@dataclass(frozen=True, slots=True)
class Options:
    """What a response was asked to be; the settings of the session, overridden by those of `response.create`.

    Args:
        output_modalities: `["text"]` or `["audio"]`.
        audio_output: `{"format": ..., "voice": ...}`.
        max_output_tokens: A number of tokens (a delta of text is one, speech costs by its length), or "inf".
        metadata: Echoed.
        conversation_id: None for a response outside of the conversation.
        delay_s: Seconds between two deltas where the step does not say.
        context: What the response reads.
        seen: What the response before it read.
        speed: Of speech.
        audio_pace: Seconds that a second of speech takes to be sent; 0 is as fast as possible.
    """

    output_modalities: list[str]
    audio_output: dict[str, Any]
    max_output_tokens: int | str
    metadata: dict[str, str] | None
    conversation_id: str | None
    delay_s: float
    context: Context = ()
    seen: Context = ()
    speed: float = 1.0
    audio_pace: float = 0.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a response ended: its status and `status_details`."""

    status: str
    details: dict[str, Any] | None = None


COMPLETED = Ending("completed")
CANCELLED_BY_CLIENT = Ending("cancelled", {"type": "cancelled", "reason": "client_cancelled"})
CANCELLED_BY_TURN = Ending("cancelled", {"type": "cancelled", "reason": "turn_detected"})


class ResponseRun:
    """A response from `response.created` to `response.done`.

    Args:
        ids: Makes the identifiers.
        options: What was asked for.
        conversation: What the brain is shown.
        items: The conversation that the output joins; None for a response outside of it.
    """

    def __init__(
        self, ids: Ids, options: Options, conversation: Conversation, items: ItemList | None
    ) -> None:
        self.id = conversation.response_id
        self.conversation = conversation
        self.options = options
        self.spoken_ms = 0
        self._ids = ids
        self._items = items
        self._outputs: list[OutputItem] = []
        self._open: OutputItem | None = None
        self._n_text = 0
        self._has_called = False
        self._ending: Ending | None = None

    @property
    def is_done(self) -> bool:
        """Whether it has ended, one way or another."""
        return self._ending is not None

    def created(self) -> Event:
        """Return `response.created`."""
        return self._ids.event("response.created", response=self._resource("in_progress", None, None))

    def perform(self, steps: Iterable[Step]) -> Iterator[Action]:
        """Yield what the steps lead to, up to but without `response.done`."""
        for step in steps:
            match step:
                case Pause() | Hold():
                    yield step
                case Fail(code=code, message=message, type=type_):
                    yield self.end(_failed(code, message, type_))
                case Incomplete(reason=reason):
                    yield self.end(_incomplete(reason))
                case Say() | Speak():
                    yield from self._stream(self._message_body(step), _chunks(step.text), step.delay_s)
                case PlayAudio():
                    body, chunks = self._recorded(step)
                    yield from self._stream(body, chunks, step.delay_s)
                case CallTool() | CallMcp():
                    if self._may_call():
                        body = self._call_body(step)
                        yield from self._stream(body, _argument_chunks(step.arguments), step.delay_s)
            if self.is_done:
                return
        yield self.end(COMPLETED)

    def end(self, ending: Ending) -> list[Event]:
        """Close what is open and end the response; the events up to but without `response.done`.

        The second end is ignored: the first one wins.
        """
        if self.is_done:
            return []
        self._ending = ending
        return self._close("completed" if ending is COMPLETED else "incomplete")

    def done(self) -> Event:
        """Return `response.done`."""
        ending = self._ending or COMPLETED
        spent = usage(self.options.context, self.options.seen, self._n_text, self.spoken_ms)
        return self._ids.event("response.done", response=self._resource(ending.status, ending.details, spent))

    def _stream(self, body: Body, chunks: Iterable[Chunk], delay_s: float | None) -> Iterator[Action]:
        delay = Pause(self.options.delay_s if delay_s is None else delay_s)
        self._open = self._new_item(body)
        yield self._open.begin()
        for chunk in chunks:
            if not isinstance(chunk, str):
                yield chunk
                continue
            if delay.seconds > 0:
                yield delay
            if not self._can_afford(body, chunk):
                yield self.end(_incomplete("max_output_tokens"))
                return
            yield from self._delta(body, chunk)
        yield self._close("completed")

    def _delta(self, body: Body, chunk: str) -> Iterator[Action]:
        assert self._open is not None
        if not isinstance(body, AudioBody):
            self._n_text += 1
            yield self._open.chunk(chunk)
            return
        item, pace = self._open, self.options.audio_pace
        for piece in body.pieces(chunk):
            self.spoken_ms += piece.duration_ms
            yield item.play(piece)
            if pace > 0:
                yield Pause(piece.duration_ms / 1000 * pace)

    def _can_afford(self, body: Body, chunk: str) -> bool:
        limit = self.options.max_output_tokens
        if not isinstance(limit, int):
            return True
        if isinstance(body, AudioBody):
            return self._n_text + audio_tokens(self.spoken_ms + body.next_ms(chunk)) <= limit
        return self._n_text + 1 + audio_tokens(self.spoken_ms) <= limit

    def _may_call(self) -> bool:
        is_first, self._has_called = not self._has_called, True
        return is_first or self.conversation.parallel_tool_calls

    def _close(self, status: str) -> list[Event]:
        item, self._open = self._open, None
        return item.finish(status) if item is not None else []

    def _new_item(self, body: Body) -> OutputItem:
        place = Place(self._ids, self.id, self._ids.fresh(body.prefix), len(self._outputs))
        item = OutputItem(place, body, self._items)
        self._outputs.append(item)
        return item

    def _message_body(self, step: Say | Speak) -> Body:
        if self.options.output_modalities == ["text"]:
            return TextBody()
        word_ms = step.word_ms if isinstance(step, Speak) else _WORD_MS
        spoken_ms = max(1, round(word_ms / self.options.speed))
        return AudioBody(self.options.audio_output["format"]["type"], spoken_ms)

    def _recorded(self, step: PlayAudio) -> tuple[Body, Iterable[Chunk]]:
        words = words_of(step.transcript)
        if self.options.output_modalities == ["text"]:
            return TextBody(), words
        format_ = self.options.audio_output["format"]["type"]
        pieces = pieces_of(from_pcm(step.pcm, format_), format_, step.piece_ms)
        return AudioBody(format_, step.piece_ms, recorded=pieces[::-1]), spread(words, len(pieces))

    def _call_body(self, step: CallTool | CallMcp) -> Body:
        if isinstance(step, CallTool):
            return CallBody(step.name, step.call_id or self._ids.fresh("call", 16))
        approved = approved_by(self.conversation, step.server_label, step.name)
        must_ask_first = step.needs_approval
        if must_ask_first is None:
            must_ask_first = must_ask(self.conversation, step.server_label, step.name)
        if must_ask_first and approved is None:
            return ApprovalBody(step.server_label, step.name)
        return McpCallBody(step.server_label, step.name, _outcome(step), approved)

    def _resource(
        self, status: str, details: dict[str, Any] | None, spent: dict[str, Any] | None
    ) -> dict[str, Any]:
        resource: dict[str, Any] = {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": [copy.deepcopy(output.item) for output in self._outputs],
            "output_modalities": self.options.output_modalities,
            "max_output_tokens": self.options.max_output_tokens,
            "audio": {"output": self.options.audio_output},
            "usage": spent,
            "metadata": self.options.metadata,
        }
        if self.options.conversation_id is not None:
            resource["conversation_id"] = self.options.conversation_id
        return resource


def _outcome(step: CallMcp) -> dict[str, Any]:
    if step.error is None:
        return {"output": step.output}
    if isinstance(step.error, str):
        return {"error": {"type": "tool_execution_error", "message": step.error}}
    return {"error": dict(step.error)}


def _failed(code: str, message: str, type_: str) -> Ending:
    error = {"type": type_, "code": code, "message": message}
    return Ending("failed", {"type": "failed", "error": error})


def _incomplete(reason: str) -> Ending:
    return Ending("incomplete", {"type": "incomplete", "reason": reason})


def _chunks(text: str | Iterable[Chunk]) -> Iterable[Chunk]:
    return words_of(text) if isinstance(text, str) else text


def _argument_chunks(arguments: Mapping[str, Any] | str | Iterable[Chunk]) -> Iterable[Chunk]:
    if isinstance(arguments, Mapping):
        arguments = msgspec.json.encode(dict(arguments)).decode()
    return _ARGUMENT_PIECES.findall(arguments) if isinstance(arguments, str) else arguments
