"""The responses that are being made: what of each a subscriber sees, and which tool calls it holds. Pure.

A turn is one response, told apart by its id: overlapping responses never mix, and deltas of an interrupted or unknown
response are dropped here.

Source: the session contract, statements 3 to 6 and 12; protocol reference A.6 (order of events in one response).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..gateway.audio_output import AudioOutput
from ..gateway.server_events import (
    ResponseFunctionCallArgumentsDelta,
    ResponseFunctionCallArgumentsDone,
    ResponseOutputAudioDelta,
    ResponseOutputAudioDone,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone,
    ResponseOutputItemAdded,
    ResponseOutputItemDone,
    ResponseOutputTextDelta,
    ResponseOutputTextDone,
)
from ..gateway.wire_types import Item, Response
from .effects import NOTHING, Effect, Effects
from .events import (
    AssistantAudioDelta,
    AssistantText,
    AssistantTextDelta,
    AssistantTranscript,
    AssistantTranscriptDelta,
    Interrupted,
    InterruptReason,
    ToolCallArgsDelta,
    ToolCallStarted,
)
from .playback import Playback

_REMEMBERED = 1024  # ids of finished turns, so that a second response.done is known for what it is


@dataclass(slots=True)
class CallDraft:
    """A tool call as the model writes it.

    Attributes:
        announced: a subscriber was told that it began.
        completed: what the provider says of the item; None until it says anything.
    """

    call_id: str
    name: str
    item_id: str | None
    output_index: int
    arguments: str = ""
    announced: bool = False
    completed: bool | None = None


@dataclass(slots=True)
class Turn:
    """One response in the making."""

    turn_id: str
    default: bool
    audio: AudioOutput
    announced: bool = True
    interrupted: bool = False
    items: list[str] = field(default_factory=list[str])
    spoken: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    said: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    calls: dict[str, CallDraft] = field(default_factory=dict[str, CallDraft])
    finals: set[tuple[str, int, str]] = field(default_factory=set[tuple[str, int, str]])

    def completes(self, item_id: str, content_index: int, text: str) -> bool:
        """Take in the whole text of a part. Returns whether it is news: some providers, and proxies, say things twice."""
        final = (item_id, content_index, text)
        if final in self.finals:
            return False
        self.finals.add(final)
        self.said.setdefault(item_id, []).append(text)
        return True


class Turns:
    """All responses in the making, by id.

    Args:
        playback: is told what audio went out.
        audio_format: of what the provider says, until it confirms one.
    """

    def __init__(self, playback: Playback, audio_format: str) -> None:
        self._playback = playback
        self.audio_format = audio_format
        self._all: dict[str, Turn] = {}
        self._visible: dict[str, Turn] = {}
        self._finished: OrderedDict[str, None] = OrderedDict()

    # -- lifecycle

    def begin(
        self, response_id: str, *, default: bool, hidden: bool = False, audio_format: str | None = None
    ) -> Turn:
        """A response began. ``hidden``: nothing of it reaches a subscriber. ``audio_format``: its own, if it has one."""
        audio = AudioOutput(audio_format or self.audio_format)
        turn = Turn(response_id, default, audio, announced=not hidden, interrupted=hidden)
        self._all[response_id] = turn
        if not hidden:
            self._visible[response_id] = turn
        return turn

    def known(self, response_id: str) -> bool:
        """Whether this response is in the making or just finished. One without an id is nobody's, and dealt with."""
        return not response_id or response_id in self._all or response_id in self._finished

    def finished(self, response_id: str) -> bool:
        """Whether this response is over; see `known` for one without an id."""
        return not response_id or response_id in self._finished

    def finish(self, response: Response) -> tuple[Turn, Effects]:
        """A response is over: forget it and return its turn, completed by what ``response.done`` lists, and effects.

        What no event of its own told (the text of a response that began unannounced) is told now.
        """
        turn = self._all.pop(response.id)
        visible = self._visible.pop(response.id, None) is not None
        self._finished[response.id] = None
        while len(self._finished) > _REMEMBERED:
            self._finished.popitem(last=False)
        effects: list[Effect] = []
        for index, item in enumerate(response.output):
            if item.type == "function_call":
                _complete_call(turn, item, index)
            elif item.type == "message" and visible and (item.id or "") not in turn.said:
                effects += _say(turn, item)
        return turn, effects

    def get(self, response_id: str) -> Turn | None:
        """Return a turn that is in the making; None if it is over or unknown."""
        return self._all.get(response_id)

    @property
    def idle(self) -> bool:
        """Whether no response is in the making."""
        return not self._all

    def streaming(self) -> list[Turn]:
        """The visible turns of the default conversation, oldest first."""
        return [turn for turn in self._visible.values() if turn.default]

    def interrupt(self, turn: Turn, reason: InterruptReason, audio_end_ms: int | None = None) -> Interrupted:
        """Hide the rest of a turn."""
        turn.interrupted = True
        self._visible.pop(turn.turn_id, None)
        return Interrupted(turn.turn_id, reason, audio_end_ms)

    def spoken(self, turn_id: str, item_id: str) -> str | None:
        """Return what the audio of an item in the making says so far; None if it is not in the making."""
        turn = self._all.get(turn_id)
        return None if turn is None else "".join(turn.spoken.get(item_id, ()))

    def drop_all(self) -> Iterable[Turn]:
        """Forget everything (the line is gone) and return the turns that were in the making.

        Also the ids: a provider may count its responses anew on each line.
        """
        turns = list(self._all.values())
        self._all.clear()
        self._visible.clear()
        self._finished.clear()
        return turns

    # -- the hot path: one lookup, one event

    def text_delta(self, event: ResponseOutputTextDelta, _now: float) -> Effects:
        """More text."""
        if event.response_id not in self._visible:
            return NOTHING
        return (AssistantTextDelta(event.response_id, event.delta, event.item_id, event.content_index),)

    def transcript_delta(self, event: ResponseOutputAudioTranscriptDelta, _now: float) -> Effects:
        """More of what the audio says."""
        turn = self._visible.get(event.response_id)
        if turn is None:
            return NOTHING
        turn.spoken.setdefault(event.item_id, []).append(event.delta)
        return (AssistantTranscriptDelta(event.response_id, event.delta, event.item_id, event.content_index),)

    def audio_delta(self, event: ResponseOutputAudioDelta, now: float) -> Effects:
        """More audio, in the format of its response; an odd byte waits for the next delta of its item."""
        turn = self._visible.get(event.response_id)
        if turn is None:
            return NOTHING
        audio = turn.audio
        pcm, rate_hz = audio.decode(event.item_id, event.delta), audio.rate_hz
        if turn.default:  # what is no part of the conversation cannot be taken back from it
            length_ms = 1000.0 * len(pcm) / rate_hz
            self._playback.delivered(turn.turn_id, event.item_id, event.content_index, length_ms, now)
        return (AssistantAudioDelta(event.response_id, pcm, event.item_id, event.content_index, rate_hz),)

    # -- finals

    def audio_done(self, event: ResponseOutputAudioDone, _now: float) -> Effects:
        """All audio of a part was received."""
        turn = self._all.get(event.response_id)
        if turn is not None:
            turn.audio.end(event.item_id)
        self._playback.finished(event.item_id)
        return NOTHING

    def text_done(self, event: ResponseOutputTextDone, _now: float) -> Effects:
        """A text part is complete."""
        turn = self._visible.get(event.response_id)
        if turn is None or not turn.completes(event.item_id, event.content_index, event.text):
            return NOTHING
        return (AssistantText(event.response_id, event.text, event.item_id, event.content_index),)

    def transcript_done(self, event: ResponseOutputAudioTranscriptDone, _now: float) -> Effects:
        """A spoken part is complete."""
        turn = self._visible.get(event.response_id)
        if turn is None or not turn.completes(event.item_id, event.content_index, event.transcript):
            return NOTHING
        return (AssistantTranscript(event.response_id, event.transcript, event.item_id, event.content_index),)

    # -- tool calls

    def item_added(self, event: ResponseOutputItemAdded, _now: float) -> Effects:
        """An output item began; a function call is announced."""
        turn = self._all.get(event.response_id)
        item = event.item
        if turn is not None and item.id:
            turn.items.append(item.id)
        if turn is None or item.type != "function_call" or not item.call_id:
            return NOTHING
        if item.call_id in turn.calls:
            return NOTHING
        call = CallDraft(item.call_id, item.name or "", item.id, event.output_index)
        turn.calls[item.call_id] = call
        if turn.interrupted:
            return NOTHING
        return announce(turn, [call])

    def arguments_delta(self, event: ResponseFunctionCallArgumentsDelta, _now: float) -> Effects:
        """More of a call's arguments; the whole comes with ``.done``, so nothing is collected here."""
        if event.response_id not in self._visible:
            return NOTHING
        return (ToolCallArgsDelta(event.response_id, event.call_id, event.delta, event.item_id),)

    def arguments_done(self, event: ResponseFunctionCallArgumentsDone, _now: float) -> Effects:
        """A call's arguments are written; that does not make the call complete (A.6)."""
        turn = self._all.get(event.response_id)
        call = turn.calls.get(event.call_id) if turn is not None else None
        if call is not None:
            call.arguments = event.arguments or call.arguments
            call.name = event.name or call.name
        return NOTHING

    def item_done(self, event: ResponseOutputItemDone, _now: float) -> Effects:
        """An output item is final: all its audio was received, and only a call with status completed may run."""
        self._playback.finished(event.item.id or "")
        turn = self._all.get(event.response_id)
        if turn is not None and event.item.type == "function_call":
            _complete_call(turn, event.item, event.output_index)
        return NOTHING


def announce(turn: Turn, calls: Iterable[CallDraft]) -> list[Effect]:
    """Tell of the calls that no subscriber knows of yet."""
    effects: list[Effect] = []
    for call in calls:
        if not call.announced:
            call.announced = True
            effects.append(ToolCallStarted(turn.turn_id, call.call_id, call.name, call.item_id))
    return effects


def _complete_call(turn: Turn, item: Item, output_index: int) -> None:
    if not item.call_id:
        return
    call = turn.calls.get(item.call_id)
    if call is None:
        call = turn.calls[item.call_id] = CallDraft(item.call_id, "", item.id, output_index)
    call.output_index = output_index
    call.name = item.name or call.name
    call.item_id = item.id or call.item_id
    call.arguments = item.arguments or call.arguments
    if item.status is not None:
        call.completed = item.status == "completed"
    elif call.completed is None:
        call.completed = True  # a provider that gives items no status says it by the response's


def _say(turn: Turn, item: Item) -> list[Effect]:
    effects: list[Effect] = []
    for index, part in enumerate(item.content):
        said = part.text if part.text is not None else part.transcript
        if not said:
            continue
        turn.said.setdefault(item.id or "", []).append(said)
        kind = AssistantText if part.text is not None else AssistantTranscript
        effects.append(kind(turn.turn_id, said, item.id, index))
    return effects
