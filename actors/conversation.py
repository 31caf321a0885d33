"""The conversation of a session: responses, replies, tools and interruptions, whatever line carries them. Pure.

What is said it enters in the ledger, so that on a new line it can say what the provider has to hear again.

Source: the session contract, statements 1 to 8 and 12.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

from ..gateway import server_events as wire
from ..gateway.client_events import (
    ResponseCancel,
    ResponseParams,
)
from ..gateway.config import Config
from ..gateway.wire_types import Item, Response, SessionInfo
from .conversation_items import ConversationItems
from .effects import NOTHING, Effect, Effects, Send
from .events import (
    AssistantTurnCompleted,
    AssistantTurnStarted,
    Interrupted,
    InterruptReason,
    TurnStatus,
    UserSpeechStarted,
    UserSpeechStopped,
)
from .history import HistoryItem
from .ledger import Ledger
from .mcp_calls import McpCalls
from .memory import OpenBatch
from .playback import Heard, Playback
from .rate_limits import rate_limits_updated
from .replay import OWN_ASK, Replay
from .reply_gate import ReplyGate
from .response_facts import failure_of, format_of, metadata_of, output_format_of, status_of
from .side_responses import SideResponses, is_side
from .skipped_calls import skipped
from .taking_back import take_back
from .tool_batches import ToolBatches
from .tool_outcome import ToolOutcome
from .tool_rounds import ToolRounds
from .turns import Turn, Turns, announce
from .usage import SessionUsage, as_mapping


class Conversation:
    """What was said and is being said. Its methods return effects; sends are left out while the line is down."""

    def __init__(
        self,
        config: Config,
        new_id: Callable[[str], str],
        gate: ReplyGate,
        batches: ToolBatches,
        ledger: Ledger,
        side: SideResponses,
        *,
        takes_calls: bool = True,
    ) -> None:
        self._config = config
        self._new_id = new_id
        self._gate = gate
        self._side = side
        self._tools = ToolRounds(config, gate, batches, ledger)
        self._ledger = ledger
        with_tools = bool(config.tools or config.mcp_servers)
        self._replay = Replay(ledger.history, with_tools=with_tools, takes_calls=takes_calls)
        self._items = ConversationItems(ledger, self._replay, gate, new_id)
        self._playback = Playback()
        self._turns = Turns(self._playback, config.output_audio_format)
        self._mcp = McpCalls(new_id, self._turns, self._tools)
        self._line: int | None = None
        self._names_conversations = False
        # "carried": the user was speaking when the session left a line, of which subscribers were told.
        self._speech: Literal["none", "told", "carried"] = "none"

    def handlers(self) -> dict[type[Any], Callable[[Any, float], Effects]]:
        """Return who handles which server event. Deltas go straight to the turns."""
        turns = self._turns
        return {
            **self._ledger.handlers(),
            **self._mcp.handlers(),
            wire.ConversationItemDeleted: self._items.deleted,
            wire.InputAudioBufferCommitted: lambda event, _: self._gate.expect(event.item_id),
            wire.ResponseOutputTextDelta: turns.text_delta,
            wire.ResponseOutputTextDone: turns.text_done,
            wire.ResponseOutputAudioDelta: turns.audio_delta,
            wire.ResponseOutputAudioDone: turns.audio_done,
            wire.ResponseOutputAudioTranscriptDelta: turns.transcript_delta,
            wire.ResponseOutputAudioTranscriptDone: turns.transcript_done,
            wire.ResponseOutputItemAdded: self._output_added,
            wire.ResponseOutputItemDone: self._output_done,
            wire.ResponseFunctionCallArgumentsDelta: turns.arguments_delta,
            wire.ResponseFunctionCallArgumentsDone: turns.arguments_done,
            wire.ResponseCreated: self._response_created,
            wire.ResponseDone: self._response_done,
            wire.ConversationItemAdded: self._item_arrived,
            wire.ConversationItemCreated: self._item_arrived,
            wire.ConversationItemDone: self._items.done,
            wire.InputAudioBufferSpeechStarted: self._speech_started,
            wire.InputAudioBufferSpeechStopped: self._speech_stopped,
            wire.RateLimitsUpdated: rate_limits_updated,
        }

    def history(self) -> list[HistoryItem]:
        """Return what was said so far."""
        return self._ledger.history.items()

    def holds(self, item_id: str) -> bool:
        """Whether there is, or was, an item of this id."""
        return self._items.holds(item_id)

    def usage(self) -> SessionUsage:
        """Return what it cost so far."""
        return self._ledger.usage.read()

    @property
    def hears(self) -> bool:
        """Whether something that the user said is still being transcribed."""
        return self._config.transcription is not None and self._ledger.hears

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being said, asked or done: the moment to move to another line."""
        return not self.hears and all(
            p.idle for p in (self._turns, self._gate, self._side, self._tools, self._mcp)
        )

    # -- the line

    def resume(self, batches: Mapping[str, OpenBatch], at_work: Collection[str]) -> Effects:
        """Go on with the tool calls that an earlier incarnation began; ``at_work``: those whose workers outlived it."""
        return self._up(self._tools.resume(batches, at_work, self._line))

    def line_up(self, line: int, *, speaks: bool = False) -> Effects:
        """The session is configured on a new line: say what was said before, then ask if somebody waits.

        ``speaks``: the user is in the middle of a sentence, which goes on there.
        """
        self._line = line
        self._speech = "carried" if speaks and self._speech == "told" else "none"
        told = self._replay.tell()
        asked = self._gate.line_up(self._replay.wants_no_reply, speaks=speaks)
        return [*told, *asked, *self._side.line_up()]

    def line_down(self) -> Effects:
        """The line is lost: turns in the making end here; tools go on, their outputs wait."""
        self._line = None
        lost = [effect for turn in self._turns.drop_all() for effect in self._turn_lost(turn)]
        gone = [*self._gate.line_down(), *self._side.line_down(), *self._mcp.line_down()]
        return [*lost, *self._ledger.line_down(), *gone]

    def _turn_lost(self, turn: Turn) -> list[Effect]:
        turn_id = turn.turn_id
        if turn.interrupted:
            failed = skipped(turn, "cancelled")
            return [*failed, AssistantTurnCompleted(turn_id, "cancelled")] if turn.announced else []
        if turn.default and turn.said and self._replay.is_whole(turn.items):
            self._playback.turn_finished(turn_id)  # all was said, and only response.done is missing
            return [AssistantTurnCompleted(turn_id, "completed"), *self._gate.done(turn_id)]
        self._playback.turn_lost(turn_id)
        # The answer will be given anew: what there is of this one would count for the whole.
        forgotten = [effect for one in turn.items for effect in self._ledger.forget(one)]
        failed = skipped(turn, "incomplete")
        interrupted = self._turns.interrupt(turn, "error")
        return [*forgotten, *failed, interrupted, AssistantTurnCompleted(turn_id, "failed")]

    def confirmed(self, session: SessionInfo) -> None:
        """The provider says what the session is like: it may speak in another format than it was asked to."""
        self._turns.audio_format = output_format_of(session) or self._config.output_audio_format

    def reconfigured(self, config: Config) -> None:
        """The session's configuration was changed."""
        self._config = config
        self._gate.vad_replies = config.vad_creates_response
        self._replay.with_tools = bool(config.tools or config.mcp_servers)

    # -- commands

    def say(self, item: Item) -> Effects:
        """A user message: recorded, sent, and answered."""
        self._tools.user_spoke()
        return [*self.add(item), *self._up(self._gate.ask(item.id or ""))]

    def add(self, item: Item, previous_item_id: str | None = None) -> Effects:
        """An item that nobody has to answer: recorded and sent."""
        return self._up(self._items.add(item, previous_item_id))

    def ask(self, params: ResponseParams | None = None) -> Effects:
        """Want a reply to what is there; ``params``: how it is to differ from others, or that it stays out of the conversation."""
        ask_id = self._new_id(OWN_ASK)
        if params is not None and is_side(params):
            return self._side.ask(ask_id, params)
        self._tools.user_spoke()
        return self._up(self._gate.ask(ask_id, params))

    def interrupt(self, reason: InterruptReason, now: float) -> Effects:
        """Stop what is being said or played, and the tools of what was said."""
        streaming = self._turns.streaming()
        heard = self._playback.cut(now)
        played_ms = {one.turn_id: int(one.played_ms) for one in reversed(heard)}
        effects: list[Effect] = []
        if reason == "manual":
            effects += [self._cancel(turn) for turn in streaming]
        effects += [effect for one in heard for effect in self._take_back(one)]
        for turn in streaming:
            effects += self._cut(turn, reason, played_ms.pop(turn.turn_id, None))
        if not streaming and reason == "manual":
            self._gate.cut()  # before the tools: what their outputs ask for is asked for after the interruption
        for turn_id in self._tools.open_turns():
            cut = self._tools.interrupt(turn_id, reason, played_ms.pop(turn_id, None), self._line)
            effects += self._up(cut)
        return [*effects, *(Interrupted(turn_id, reason, ms) for turn_id, ms in played_ms.items())]

    def playback_reported(self, item_id: str, played_ms: float) -> None:
        """The application says how much of an item was played."""
        self._playback.report(item_id, played_ms)

    def tool_finished(self, outcome: ToolOutcome) -> Effects:
        """A tool worker is done with a call, or the application has decided on one of a remote MCP server."""
        if self._mcp.waits_for(outcome.call_id):
            return self._up(self._mcp.decided(outcome))
        return self._up(self._tools.finished(outcome, self._line))

    def tool_approved(self, call_id: str) -> Effects:
        """A tool that needs approval got it."""
        return self._tools.approved(call_id)

    def tool_timed_out(self, call_id: str) -> Effects:
        """A tool took too long."""
        return self._up(self._tools.timed_out(call_id, self._line))

    def reply_timed_out(self) -> Effects:
        """No response came to our create, or nothing of what was being said when the session moved."""
        if self._speech == "carried":
            self._speech = "none"
        return self._gate.timed_out()

    def side_timed_out(self, event_id: str) -> Effects:
        """No response came to this out-of-band create."""
        return self._side.timed_out(event_id)

    def stop_tools(self, reason: str) -> Effects:
        """End all tools: the session is over."""
        return self._tools.stop(reason)

    def refused(self, event_id: str | None, code: str | None) -> tuple[bool, str | None, Effects]:
        """The server refused an event. Returns whether that is dealt with, the item it was about, and effects."""
        handled, effects = self._gate.rejected(event_id, code)
        settled, item_id, removed = self._items.refused(event_id, code)
        return handled or settled, item_id, [*effects, *self._side.refused(event_id), *removed]

    # -- server events

    def _response_created(self, event: wire.ResponseCreated, _now: float) -> Effects:
        if self._turns.known(event.response.id):
            return NOTHING
        return self._begin(event.response)

    def _begin(self, response: Response, *, over: bool = False) -> Effects:
        """A response began; ``over``: and is over as well, so that there is nothing left to cancel."""
        started = AssistantTurnStarted(response.id, metadata_of(response))
        if self._side.claims(response) or not self._is_default(response):
            return self._begin_aside(response, started, over=over)
        answered = self._ledger.history.is_answered if over else None
        fate, effects = self._gate.created(response, answered)
        own_format = format_of(response)
        turn = self._turns.begin(response.id, default=True, hidden=fate == "late", audio_format=own_format)
        cancel = [self._cancel(turn)] if fate != "shown" and not over else []
        match fate:
            case "late":
                return [*effects, *cancel]
            case "cut":
                return [*effects, started, *cancel, *self._cut(turn, "manual")]
            case "shown":
                return [*effects, started]

    def _begin_aside(self, response: Response, started: Effect, *, over: bool) -> Effects:
        late, effects = self._side.created(response)
        own_format = format_of(response)
        turn = self._turns.begin(response.id, default=False, hidden=late, audio_format=own_format)
        if late:
            return [*effects, *([] if over else [self._cancel(turn)])]
        return [*effects, started]

    def _response_done(self, event: wire.ResponseDone, _now: float) -> Effects:
        response = event.response
        if self._turns.finished(response.id):
            return NOTHING
        effects: list[Effect] = []
        if not self._turns.known(response.id):  # around interruptions there may be no response.created
            if not self._side.claims(response) and self._is_default(response):
                effects += self._ledger.answered(response)
            effects += self._begin(response, over=True)
        turn, said = self._turns.finish(response)
        self._playback.turn_finished(turn.turn_id)
        effects += [*self._ledger.spent(response), *said]
        status: TurnStatus = "cancelled" if turn.interrupted else status_of(response)
        runnable = self._tools.runnable(turn, status_of(response))
        effects += announce(turn, runnable if turn.interrupted else turn.calls.values())
        requests = self._mcp.turn_over(turn, response, status)
        # Who is answered, or waits for the outputs of which calls, is written down before anybody is told and before these
        # calls are: a crash between the two must not answer again.
        if turn.default:
            waits = bool(runnable) or self._mcp.is_asking(turn.turn_id)
            settled = self._gate.done(response.id, carry=waits)
            self._ledger.take(settled)
            effects += settled
        else:
            effects += self._side.done(response.id)
        if turn.announced:
            runs = {call.call_id for call in runnable}
            effects += self._report(turn, response, status, runs)
        if turn.default:
            effects += self._items.remember(turn, response)
        effects += self._tools.begin(turn, runnable, self._line)
        effects += [*requests, *self._tools.settle(turn.turn_id, self._line)]
        return [*effects, *self._gate.proceed()]

    def _report(self, turn: Turn, response: Response, status: TurnStatus, runs: set[str]) -> list[Effect]:
        effects: list[Effect] = skipped(turn, status, runs)
        if status == "failed":
            effects += failure_of(response)
        usage = as_mapping(response.usage)
        return [*effects, AssistantTurnCompleted(turn.turn_id, status, usage, metadata_of(response))]

    def _output_added(self, event: wire.ResponseOutputItemAdded, now: float) -> Effects:
        return [*self._turns.item_added(event, now), *self._mcp.item_added(event)]

    def _output_done(self, event: wire.ResponseOutputItemDone, now: float) -> Effects:
        return [*self._turns.item_done(event, now), *self._mcp.item_done(event)]

    def _item_arrived(
        self, event: wire.ConversationItemAdded | wire.ConversationItemCreated, now: float
    ) -> Effects:
        self._mcp.listing(event.item)
        return self._items.arrived(event, now)

    def _speech_started(self, event: wire.InputAudioBufferSpeechStarted, now: float) -> Effects:
        self._tools.user_spoke()
        held = self._gate.speech_started()
        goes_on, self._speech = self._speech == "carried", "told"
        started = [] if goes_on else [UserSpeechStarted(event.audio_start_ms or 0.0, event.item_id)]
        if not self._config.vad_interrupts:
            return [*started, *held]
        return [*started, *held, *self.interrupt("barge_in", now)]

    def _speech_stopped(self, event: wire.InputAudioBufferSpeechStopped, _now: float) -> Effects:
        self._speech = "none"
        return [UserSpeechStopped(event.audio_end_ms or 0.0, event.item_id), *self._gate.speech_stopped()]

    # -- steps

    def _cut(self, turn: Turn, reason: InterruptReason, audio_end_ms: int | None = None) -> list[Effect]:
        return [self._turns.interrupt(turn, reason, audio_end_ms), *self._gate.interrupted(turn.turn_id)]

    def _take_back(self, heard: Heard) -> list[Effect]:
        if self._ledger.history.was_removed(heard.item_id):
            return []  # somebody else took it back, all of it
        said = self._turns.spoken(heard.turn_id, heard.item_id)
        return self._up(take_back(heard, said, self._ledger, self._replay, self._new_id("event")))

    def _cancel(self, turn: Turn) -> Send:
        return Send(ResponseCancel(response_id=turn.turn_id, event_id=self._new_id("event")))

    def _up(self, effects: Effects) -> list[Effect]:
        if self._line is None:
            return [effect for effect in effects if not isinstance(effect, Send)]
        return list(effects)

    def _is_default(self, response: Response) -> bool:
        # Out-of-band responses have no conversation; a provider that names none at all has the default one only.
        if response.conversation_id is not None:
            self._names_conversations = True
            return True
        return not self._names_conversations
