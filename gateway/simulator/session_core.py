"""The service's side of one session: what each client event leads to. Pure.

`SessionCore` holds settings, conversation, audio buffer and the responses under way. It has no socket, clock or task:
the shell feeds it frames, sends the events it returns, and plays the responses it starts.

Source: protocol.md A.1, A.6, A.8.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from .client_error import ClientError
from .client_frame import parsed
from .context_window import ContextWindow
from .conversation import Conversation
from .effects import Abandon, Effect, Send, Start, Wake
from .ids import Event, Ids
from .input_audio import Committed, InputAudio, InputStep, Interrupt, Respond
from .item_list import Item, ItemList
from .mcp import McpListings, McpServer
from .new_item import created
from .protocol_shapes import CLIENT_EVENT
from .response_request import Request, check_allowed, conversation_for, options_for, stays_outside
from .response_run import CANCELLED_BY_CLIENT, CANCELLED_BY_TURN, Action, Ending, ResponseRun
from .session_settings import Progress, Settings, initial_settings, shown, updated
from .steps import Fail, Step
from .token_count import Context, context_of, rate_limits
from .transcription import Transcriber
from .transcriptions import Transcriptions

Reply = Callable[[Conversation], Iterable[Step]]


class SessionCore:
    """One session.

    Args:
        ids: Makes the identifiers.
        model: The model named in the URL.
        expires_at: In seconds since the epoch, for `session.created`.
        delay_s: Seconds between two deltas where a step does not say.
        mcp_servers: What the MCP servers are like that clients may name, by label.
        transcriber: Makes text of the caller's audio; None: `transcription.transcribe`.
        transcription_delay_s: Seconds from a commit to its transcript.
        audio_pace: Seconds that a second of speech takes to be sent.
    """

    def __init__(
        self,
        ids: Ids,
        model: str,
        expires_at: int,
        delay_s: float = 0.0,
        mcp_servers: Mapping[str, McpServer] | None = None,
        transcriber: Transcriber | None = None,
        transcription_delay_s: float = 0.0,
        audio_pace: float = 0.0,
    ) -> None:
        self.id = ids.fresh("sess")
        self._ids = ids
        self._delay_s = delay_s
        self._audio_pace = audio_pace
        self._conversation_id = ids.fresh("conv")
        self._settings: Settings = initial_settings(self.id, model, expires_at)
        self._items = ItemList()
        self._input = InputAudio(ids, self._settings["audio"]["input"])
        self._transcriptions = Transcriptions(ids, transcriber, transcription_delay_s)
        self._active: ResponseRun | None = None
        self._running: dict[str, ResponseRun] = {}
        self._has_spoken = False
        self._mcp = McpListings(mcp_servers or {})
        self._window = ContextWindow()
        self._seen: Context = ()
        self._n_responses = 0
        self._n_tokens = 0
        self._handlers: dict[str, Callable[[Event], list[Effect]]] = {
            "session.update": self._update_session,
            "conversation.item.create": self._create_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.truncate": self._truncate_item,
            "input_audio_buffer.append": self._append_audio,
            "input_audio_buffer.clear": self._clear_audio,
            "input_audio_buffer.commit": self._commit_audio,
            "output_audio_buffer.clear": self._clear_output,
            "response.create": self._create_response,
            "response.cancel": self._cancel_response,
        }

    def open(self) -> list[Effect]:
        """Return what is sent to a client that just connected."""
        return [self._send("session.created", session=shown(self._settings))]

    def expire(self, age_s: float) -> tuple[Event, str]:
        """Return the error event of a session that is too old, and the reason to close with (code 1001)."""
        message = f"Your session hit the maximum duration of {_in_words(age_s)}."
        return self._error(ClientError("session_expired", message), None), message

    def receive(self, frame: str | bytes) -> list[Effect]:
        """Take one frame of the client, whatever is in it, and return what it leads to."""
        event: Any = None
        try:
            event = parsed(frame)
            CLIENT_EVENT(event, "")
            return self._handlers[event["type"]](event)
        except ClientError as error:
            echoed = event.get("event_id") if isinstance(event, dict) else None
            return [Send(self._error(error, echoed if isinstance(echoed, str) else None))]

    def play(self, run: ResponseRun, reply: Reply) -> Iterator[Action]:
        """Ask the brain, yield the response's events and waits, and end it."""
        try:
            yield from run.perform(reply(run.conversation))
        except Exception as error:  # noqa: BLE001 - the brain's edge: its defect is the response's failure
            yield from run.perform([Fail("brain_failed", f"The simulator's brain raised {error!r}")])
        last, timers = self._ended(run)
        yield last
        yield from timers

    def wake(self, token: str) -> list[Effect]:
        """Take the wake-up call of a `Wake`."""
        return [*self._taken(self._input.wake(token)), *self._transcriptions.wake(token)]

    def _ended(self, run: ResponseRun) -> tuple[list[Event], list[Wake]]:
        """End a response that has no more events: its last ones, and the timer for a user who stays idle."""
        was_active = self._active is run
        last = self._finish(run)
        # What was sent faster than it plays is still to be heard.
        unheard_s = run.spoken_ms / 1000 * max(0.0, 1.0 - self._audio_pace)
        return last, self._input.response_ended(unheard_s) if was_active else []

    def _finish(self, run: ResponseRun) -> list[Event]:
        if self._active is run:
            self._active = None
        self._running.pop(run.id, None)
        self._has_spoken = self._has_spoken or run.spoken_ms > 0
        done = run.done()
        self._n_responses += 1
        self._n_tokens += done["response"]["usage"]["total_tokens"]
        limits = rate_limits(self._n_responses, self._n_tokens)
        return [done, self._ids.event("rate_limits.updated", rate_limits=limits)]

    # -- session -----------------------------------------------------------------------------------------------------

    def _update_session(self, event: Event) -> list[Effect]:
        self._settings = updated(self._settings, event["session"], self._progress())
        return [
            self._send("session.updated", session=shown(self._settings)),
            *self._taken(self._input.configure(self._settings["audio"]["input"])),
            *self._list_mcp_tools(event["session"].get("tools") or ()),
        ]

    def _list_mcp_tools(self, tools: Iterable[Mapping[str, Any]]) -> list[Effect]:
        return [Send(event) for event in self._mcp.events(tools, self._items, self._ids)]

    def _progress(self) -> Progress:
        return Progress(
            has_begun=bool(len(self._items) or self._n_responses or self._running),
            has_spoken=self._has_spoken or any(run.spoken_ms for run in self._running.values()),
            is_responding=bool(self._running),
        )

    # -- items -------------------------------------------------------------------------------------------------------

    def _create_item(self, event: Event) -> list[Effect]:
        return self._add_item(created(event["item"], self._items, self._ids), event.get("previous_item_id"))

    def _add_item(self, item: Item, previous_item_id: str | None) -> list[Effect]:
        previous = self._items.insert(item, previous_item_id)
        shown = _without_sound(item)
        return [
            self._send("conversation.item.added", previous_item_id=previous, item=shown),
            self._send("conversation.item.done", previous_item_id=previous, item=shown),
        ]

    def _retrieve_item(self, event: Event) -> list[Effect]:
        item = copy.deepcopy(self._items.get(event["item_id"], "item_retrieve_invalid_item_id"))
        sound = self._items.sounds.of(event["item_id"])
        if sound is not None and item["content"]:
            item["content"][0]["audio"] = base64.b64encode(sound).decode()
        return [self._send("conversation.item.retrieved", item=item)]

    def _delete_item(self, event: Event) -> list[Effect]:
        self._items.remove(event["item_id"])
        self._transcriptions.forget(event["item_id"])
        self._window.forget(event["item_id"])
        return [self._send("conversation.item.deleted", item_id=event["item_id"])]

    def _truncate_item(self, event: Event) -> list[Effect]:
        self._items.truncate(event["item_id"], event["content_index"], event["audio_end_ms"])
        return [
            self._send(
                "conversation.item.truncated",
                item_id=event["item_id"],
                content_index=event["content_index"],
                audio_end_ms=event["audio_end_ms"],
            )
        ]

    # -- input audio -------------------------------------------------------------------------------------------------

    def _append_audio(self, event: Event) -> list[Effect]:
        return self._taken(self._input.append(event["audio"]))

    def _clear_audio(self, event: Event) -> list[Effect]:
        return self._taken(self._input.clear())

    def _commit_audio(self, event: Event) -> list[Effect]:
        return self._taken(self._input.commit())

    def _taken(self, steps: Iterable[InputStep]) -> list[Effect]:
        """Take the steps of the input audio: what they lead to, in order."""
        effects: list[Effect] = []
        for step in steps:
            match step:
                case Committed():
                    effects += self._commit(step)
                case Interrupt():
                    effects += [] if self._active is None else self._end(self._active, CANCELLED_BY_TURN)
                case Respond():
                    effects += self._respond_to_turn()
                case Send() | Wake():
                    effects.append(step)
        return effects

    def _commit(self, step: Committed) -> list[Effect]:
        committed = self._send(
            "input_audio_buffer.committed", item_id=step.item["id"], previous_item_id=self._items.last_id
        )
        added = self._add_item(step.item, None)
        return [committed, *added, *self._transcriptions.hear(step, self._settings)]

    def _respond_to_turn(self) -> list[Effect]:
        if self._settings["type"] != "realtime":
            return []  # a session that only transcribes
        try:
            return self._create_response({})
        except ClientError as error:
            # With `interrupt_response` off "this may fail to create a response if the model is already responding" (ServerVad).
            return [Send(self._error(error, None))]

    def _clear_output(self, event: Event) -> list[Effect]:
        raise ClientError(
            "invalid_value", "'output_audio_buffer.clear' is not supported on a WebSocket.", "type"
        )

    # -- responses ---------------------------------------------------------------------------------------------------

    def _create_response(self, event: Event) -> list[Effect]:
        request = event.get("response") or {}
        outside = stays_outside(request)
        if not outside and self._active is not None:
            raise ClientError(
                "conversation_already_has_active_response",
                f"Conversation already has an active response in progress: {self._active.id}. "
                "Wait until the response is finished before creating a new one.",
            )
        check_allowed(self._settings, request, has_spoken=self._progress().has_spoken)
        # What `input` refers to is looked up first, and what is too long: a request that is refused lists no tools.
        self._window.check(*self._read_by(request, ""), self._settings["truncation"])
        listing = [] if outside else self._list_mcp_tools(request.get("tools") or ())
        conversation, context = self._window.fit(
            *self._read_by(request, self._ids.fresh("resp")),
            self._settings["truncation"],
            has_own_input=request.get("input") is not None,
        )
        heard = self._transcriptions.shown(conversation.items, self._items.sounds, conversation.input_format)
        conversation = replace(conversation, items=heard)
        options = options_for(
            self._settings,
            request,
            conversation_id=None if outside else self._conversation_id,
            delay_s=self._delay_s,
            context=context,
            seen=self._seen,
            audio_pace=self._audio_pace,
        )
        run = ResponseRun(self._ids, options, conversation, None if outside else self._items)
        self._running[run.id] = run
        if not outside:
            self._active = run
            self._seen = context
            self._input.response_began()
        return [*listing, Send(run.created()), Start(run)]

    def _read_by(self, request: Request, response_id: str) -> tuple[Conversation, Context]:
        conversation = conversation_for(self._settings, request, self._items, response_id)
        return conversation, context_of(conversation, self._items, conversation.input_format)

    def _cancel_response(self, event: Event) -> list[Effect]:
        wanted = event.get("response_id")
        run = self._active if wanted is None else self._running.get(wanted)
        if run is None:
            raise ClientError("response_cancel_not_active", "Cancellation failed: no active response found")
        return self._end(run, CANCELLED_BY_CLIENT)

    def _end(self, run: ResponseRun, ending: Ending) -> list[Effect]:
        closing = run.end(ending)
        last, timers = self._ended(run)
        return [Abandon(run.id), *(Send(event) for event in [*closing, *last]), *timers]

    # -- events ------------------------------------------------------------------------------------------------------

    def _send(self, type: str, /, **fields: Any) -> Send:
        return Send(self._ids.event(type, **fields))

    def _error(self, error: ClientError, event_id: str | None) -> Event:
        return self._ids.event("error", error=error.detail(event_id))


def _without_sound(item: Item) -> Item:
    """Return a copy as events show it: the sound of a message is only in `conversation.item.retrieved`."""
    shown = copy.deepcopy(item)
    for part in shown.get("content") or ():
        part.pop("audio", None)
    return shown


def _in_words(age_s: float) -> str:
    """Return "60 minutes", as the service says it; what is no whole number of them is told in seconds."""
    minutes, rest_s = divmod(age_s, 60)
    number, unit = (age_s, "second") if rest_s or not minutes else (minutes, "minute")
    return f"{number:g} {unit}" if number == 1 else f"{number:g} {unit}s"
