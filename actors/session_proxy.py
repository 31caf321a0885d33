"""What a program holds of a session: its proxy. Owns no thread; any thread may use it.

It is a pykka proxy on a StableRef: the same one goes on working across restarts. Each method that goes by message
returns a future (``.get()`` or ``await``); ``events()`` and ``close()`` work in the caller's thread.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Literal, Self, cast, overload

from ..gateway.audio_input import Audio
from ..gateway.images import Image
from ..gateway.items import Detail
from ..gateway.wire_types import Item
from ..supervision import Future, StableProxy, StableRef, TerminateChild
from . import commands as cmd
from .directory import SessionEntry
from .event_stream import EventStream
from .events import SessionClosed
from .history import HistoryItem
from .own_future import OwnFuture
from .raw_frame import EventOrFrame
from .tool_box import runnable_tools
from .usage import SessionUsage


class SessionProxy(StableProxy[Any]):
    """One session, whatever happens to its actor and its line.

    Commands are accepted while the line is down, and answered when it is back; see DESIGN section 5 for what *accepted*
    promises. A command to a session that is closed fails with :class:`trunkline.supervision.ActorDown`.
    """

    def __init__(self, entry: SessionEntry, supervisor: StableRef[Any]) -> None:
        ref = cast("StableRef[Any]", entry.ref)
        super().__init__(actor_ref=ref)
        self._entry = entry
        self._supervisor = supervisor

    @property
    def session_id(self) -> str:
        """Our id of the session: unique, and the same across restarts and reconnects."""
        return self._entry.session_id

    # -- in the caller's thread

    @overload
    def events(self, *, raw: Literal[False] = False) -> EventStream: ...
    @overload
    def events(self, *, raw: Literal[True]) -> EventStream[EventOrFrame]: ...
    def events(self, *, raw: bool = False) -> EventStream[Any]:
        """Return a new stream of this session's events, ``session_opened`` first. Iterate it, or ``async for``.

        Whoever listens first hears of the errors there were before as well; of a resumed session, of everything.

        ``raw``: the messages of the wire as well, in both directions and from now on, each as a ``RawFrame``.
        """
        return self._entry.subscribers.stream(raw=raw)

    def close(self) -> Future[None]:
        """End the session: within ``Config.close_timeout_s`` and a grace, even if session, server and tools all hang.

        Idempotent. The future is done when the session's actor is down and every subscriber has had ``session_closed``.
        """
        entry = self._entry
        done: Future[None] = OwnFuture() if entry.subscribers.called_here() else Future()

        def ended(_: Future[Any]) -> None:
            entry.close(SessionClosed("client"))
            entry.release()
            done.set(None)

        entry.closing = True  # whoever learns first of an end by kill says who wanted it
        terminated = self._supervisor.ask(TerminateChild(self.actor_ref), block=False)
        terminated.add_done_callback(ended)
        return done

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close().get()

    # -- by message

    def _ask(self, message: Any) -> Future[Any]:
        asked = super()._ask(message)
        if not self._entry.subscribers.called_here():
            return asked
        own = OwnFuture[Any]()
        own.follow(asked)
        return own

    def send_text(self, text: str) -> Future[str]:
        """Say something as the user and ask for a reply. The future brings the item's id once it is accepted.

        Raises:
            InvalidCommand: no text. The caller's fault.
        """
        return self._ask(cmd.SendText(text))

    def send_audio(self, audio: Audio, rate_hz: int | None = None) -> Future[None]:
        """Append input audio of any length. The future is done when the line has taken all of it, in events below 15 MiB.

        It is converted here, in the caller's thread, so an array may be used again at once; the filter goes on from call to
        call, and ``commit_audio()`` ends it.

        Args:
            audio: ``(n_samples,)`` or ``(n_samples, 2)`` int16, float32 or float64 (from -1 to 1), stereo becoming mono; or bytes:
                with a rate 16-bit little-endian mono PCM, without one in the session's input format.
            rate_hz: its samples per second; by default the format's own, 24 kHz (8 kHz for G.711). Others need the extra `audio`.

        Raises:
            InvalidAudio: it is none of that. The caller's fault.
            MissingExtra: it has to be resampled, and soxr is not installed.
            SendBufferFull: (in the future) more than 1 MiB waits already, and none of this was taken: send it again later.
            LineDown: (in the future) there is no line, or the one it was meant for is lost: audio is never replayed.
        """
        sent = self._entry.audio.put(audio, rate_hz, self._ask)
        return _done() if sent is None else sent

    @overload
    def send_audio_frame(
        self, pcm: Audio, rate_hz: int | None = None, *, wait: Literal[True] = True
    ) -> Future[None]: ...
    @overload
    def send_audio_frame(self, pcm: Audio, rate_hz: int | None = None, *, wait: Literal[False]) -> None: ...
    def send_audio_frame(
        self, pcm: Audio, rate_hz: int | None = None, *, wait: bool = True
    ) -> Future[None] | None:
        """Append one frame of a live source, such as a microphone's 20 ms: as ``send_audio`` does.

        With ``wait=False`` nobody hears what became of it, which costs the caller a few microseconds: a frame that finds no
        line, or one that lags by more than 1 MiB, is dropped, and one ``error(code="uplink_lagging", dropped=n)`` tells how many.

        Raises:
            InvalidAudio: it is no audio. The caller's fault.
            MissingExtra: it has to be resampled, and soxr is not installed.
            ActorDown: with ``wait=False``, the session is closed.
            MailboxFull: with ``wait=False``, the session is being restarted, and 1,000 messages wait for it already.
        """
        if wait:
            return self.send_audio(pcm, rate_hz)
        self._entry.audio.put(pcm, rate_hz, self._tell)
        return None

    def commit_audio(self) -> Future[None]:
        """Make what was appended a user message and ask for a reply: push to talk.

        Under the server's turn detection, which commits by itself, there may be nothing left: then nothing is sent.

        Raises:
            InvalidCommand: (in the future) less than 100 ms of audio, which the provider refuses. The caller's fault.
            LineDown: (in the future) there is no line, and no audio on it.
        """
        self._entry.audio.finish(self._ask)
        return self._ask(cmd.CommitAudio())

    def clear_audio(self) -> Future[None]:
        """Forget the input audio that was not committed."""
        self._entry.audio.clear()
        return self._ask(cmd.ClearAudio())

    def send_system_text(self, text: str) -> Future[str]:
        """Tell the model something that the user did not say, in the middle of the conversation: a system message.

        Nobody has to answer it: who wants a reply says ``create_response()``. What is to hold from the beginning is better
        said by the instructions. The future brings the item's id once it is accepted.

        Raises:
            InvalidCommand: no text. The caller's fault.
        """
        return self._ask(cmd.SendSystemText(text))

    def send_image(self, image: Image, text: str | None = None, detail: Detail | None = None) -> Future[str]:
        """Show an image as the user, and ask for a reply. The future brings the item's id once it is accepted.

        Args:
            image: the bytes of a PNG or JPEG file, or a data URI of one.
            text: what there is to say about it.
            detail: how closely the model looks: "auto" (the default), "low" or "high".

        Raises:
            ConfigError: it is no such image, or there is no such detail. The caller's fault, as is
            InvalidCommand: the text is none.
        """
        return self._ask(cmd.SendImage(image, text, detail))

    def create_item(self, item: Item, previous_item_id: str | None = None) -> Future[str]:
        """Add a message of any role to the conversation, without asking for a reply. The future brings its id once accepted.

        Args:
            item: made by ``trunkline.gateway.items``, such as ``assistant_text("...")``.
            previous_item_id: the item it follows; "root" to be the first, None to be the last.

        Raises:
            InvalidCommand: it is no message, or (in the future) there is one of its id. The caller's fault.
        """
        return self._ask(cmd.CreateItem(item, previous_item_id))

    def delete_item(self, item_id: str) -> Future[None]:
        """Remove an item from the conversation; the future is done when the provider has.

        Raises:
            InvalidCommand: that is no id. The caller's fault.
            ServerError: (in the future) the provider refused, for example because it has no such item.
            CommandTimeout: (in the future) no answer in time.
        """
        return self._ask(cmd.DeleteItem(item_id))

    def retrieve_item(self, item_id: str) -> Future[Item]:
        """Return an item as the provider holds it, its audio included. Raises as ``delete_item`` does."""
        return self._ask(cmd.RetrieveItem(item_id))

    def create_response(self, **options: Any) -> Future[None]:
        """Ask for a reply without saying anything; ``options`` are the fields of ``ResponseOptions``: how it is to differ.

        With ``conversation="none"`` the response stays out of the conversation: there may be any number of these at once, each
        with turn events of its own, told apart by their ``metadata``; nobody interrupts them, and their tool calls do not run:
        each is ``tool_call_failed(code="out_of_band")``, its arguments are in ``tool_call_args_delta``.

        The future is done when it is accepted; a later refusal by the provider is an ``error`` event.

        Raises:
            InvalidCommand: there is no such option, or (in the future) a tool has the name of another one of the session.
            ConfigError: an option cannot be so. Both are the caller's fault, as is
            ToolDefinitionError: a tool that cannot be run.
        """
        command = cmd.CreateResponse.of(options)
        runnable_tools(options.get("tools"))
        self._entry.processes.check(options.get("tools"))
        return self._ask(command)

    def interrupt(self) -> Future[None]:
        """Stop what the model is saying, and the tools at work for it. No error if there is nothing to stop."""
        return self._ask(cmd.Interrupt())

    def report_playback(self, item_id: str, played_ms: float) -> Future[None]:
        """Say how much of a spoken item was played: what was not is taken back from the model when it is cut off.

        Without reports it is estimated from when the audio was delivered and how long it is. Report regularly while it
        plays, or at least before `interrupt()`: from the first report on, nothing is estimated any more.

        Args:
            item_id: that of the ``AssistantAudioDelta`` events.
            played_ms: milliseconds since the beginning of the item, >= 0.

        Raises:
            InvalidCommand: that is no id, or no such number. The caller's fault.
        """
        return self._ask(cmd.ReportPlayback(item_id, played_ms))

    def history(self) -> Future[list[HistoryItem]]:
        """Return the conversation so far, in the provider's order; of what was cut off, what was heard."""
        return self._ask(cmd.GetHistory())

    def usage(self) -> Future[SessionUsage]:
        """Return what the session cost so far, across reconnects and restarts."""
        return self._ask(cmd.GetUsage())

    def update(self, **overrides: Any) -> Future[None]:
        """Change settings while the session runs, by their names in ``Config``; the future is done when the provider has confirmed.

        Tools, turn detection, voice (until the model has spoken), instructions and whatever else the provider is told can be
        changed. What concerns this side alone (``on_interrupt``, time limits) and the audio formats cannot.

        The session keeps the change: on each new line, and when its actor is restarted. When another process resumes it from a
        durable log, it has what a log can hold (instructions, names, numbers); tools, MCP servers and settings that are
        objects, such as ``ServerVad(...)``, are then those of the broker's Config.

        Raises:
            InvalidCommand: there is no such setting, or it cannot be changed. The caller's fault, as are
            ConfigError: it cannot be so, or (in the future) not together with the others;
            ToolDefinitionError: a tool that cannot be run.
            ServerError: (in the future) the provider refused it: everything is as before.
            CommandTimeout: (in the future) no answer in time.
        """
        command = cmd.Update(overrides)
        runnable_tools(overrides.get("tools"))
        self._entry.processes.check(overrides.get("tools"))
        return self._ask(command)

    def update_instructions(self, instructions: str) -> Future[None]:
        """Replace the instructions; the future is done when the provider has confirmed them.

        Raises:
            InvalidCommand: no text. The caller's fault.
            ServerError: (in the future) the provider refused them.
            CommandTimeout: (in the future) no answer in time.
        """
        return self._ask(cmd.UpdateInstructions(instructions))

    def get_instructions(self) -> Future[str | None]:
        """Return the instructions that the provider confirmed last."""
        return self._ask(cmd.GetInstructions())

    @overload
    def subscribe(self, subscriber: cmd.Subscriber, *, raw: Literal[False] = False) -> Future[None]: ...
    @overload
    def subscribe(self, subscriber: cmd.RawSubscriber, *, raw: Literal[True]) -> Future[None]: ...
    def subscribe(self, subscriber: Any, *, raw: bool = False) -> Future[None]:
        """Deliver events to an actor (as ``RealtimeEvent``, at the end ``RealtimeClose``), or call a function.

        A function runs in the session's thread: it may delay its own session, and must not wait for it (the futures it
        gets from this proxy raise ``WaitingForOneself``; ``add_done_callback`` works). What it raises is logged and harms
        nobody. Work that takes time belongs in an actor or behind ``events()``.

        An actor that lags loses the newest deltas, audio first, and hears of it once it has caught up, by one
        ``error(code="subscriber_lagging", dropped=n)``: what is in its inbox cannot be taken back. At 10,000 messages in
        its inbox it is told no more.

        ``raw``: the messages of the wire as well, in both directions and from now on: to an actor as ``RealtimeFrame``, to a
        function as ``RawFrame``. Who is subscribed already gets them in addition.

        When the session was killed, ``session_closed`` comes to a function in a thread of its own: the session's is stuck.

        Raises:
            InvalidCommand: the subscriber is neither an ActorRef nor callable. The caller's fault.
        """
        return self._ask(cmd.Subscribe(subscriber, raw))

    def unsubscribe(self, subscriber: cmd.Subscriber) -> Future[None]:
        """Deliver no more; no error if it is no subscriber."""
        return self._ask(cmd.Unsubscribe(subscriber))


def _done() -> Future[None]:
    future: Future[None] = Future()
    future.set(None)
    return future
