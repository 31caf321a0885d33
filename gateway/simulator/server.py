"""The simulator: a realtime server on loopback. Owns a thread with an event loop, and its sockets."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from random import Random
from types import TracebackType
from typing import Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from ..faults import FaultPlan, HttpStatus
from ..faults.plan import check_plan
from ..loop_thread import LoopThread
from .address import Address
from .admission import Admitted, Entrance, Refusal
from .arguments import (
    check_brain,
    check_close,
    check_more_than_0,
    check_record,
    check_refusal,
    check_status,
    check_whole,
)
from .brains import Brain
from .clients import Clients
from .connection import Connection
from .ids import Ids
from .line import Line, Lines
from .mcp import McpServer
from .recording import Recording
from .rule_brain import RuleBrain
from .session_recipe import SessionRecipe
from .transcription import Transcriber
from .upgrade import lower, refusal, select_subprotocol
from .wire_log import Closed, Direction, Handshake, WireLog, type_of

_logger = logging.getLogger("trunkline.gateway.simulator")
# Below, websockets would log headers, and the key with them; a client that is no client is no incident.
_logger.setLevel(logging.WARNING)
_logger.addFilter(lambda record: record.msg != "opening handshake failed")
_MAX_FRAME_BYTES = 32 * 1024 * 1024
_CLOSE_GRACE_S = 0.5
_BACKLOG = 1024
"""Clients that may ask for a connection at the same moment; one too many would wait a second and ask again."""
_ABNORMAL = 1006


class Simulator:
    """A server that speaks the GA Realtime protocol over real WebSockets.

    It runs in one thread, `trunkline simulator`, from `start` to `stop`; as a context manager it does both. What it
    answers is up to its brain. All methods may be called from any thread.

    Args:
        brain: Decides the answers; None: `RuleBrain`.
        host: Loopback, unless `allow_remote`.
        port: 0 takes a free one; see `url`.
        api_key: The only key accepted; None accepts any, and none.
        models: The models served; None serves any name.
        refuse_status: HTTP status to refuse upgrades with, or None. May be changed at any time.
        refuse_error: `(code, message, close_code)` to refuse clients with after the upgrade, as the service does, or
            None. May be changed at any time.
        retry_after_s: Seconds in the `Retry-After` of a 429.
        delta_interval_s: Seconds between two deltas; 0 is as fast as possible.
        session_max_age_s: Age at which a session ends with `session_expired` and close 1001.
        ping_interval_s: Seconds between pings to the client, and how long a pong may take; None never pings.
        log_limit: How many frames `wire` keeps; 0 keeps none.
        ssl_context: Serves `wss://` with it.
        allow_remote: Allow a host other than loopback; needs an `api_key`.
        record: A file for both directions of all connections, as lines of JSON (see `recording`). It is emptied at each
            start.
        mcp_servers: What the MCP servers are like that clients may name, by label; one that is not here lists the tools
            that the client allows by name, and fails if its URL's host is under `.invalid`.
        audio_pace: Seconds that a second of speech takes to be sent: 1.0 is real time; 0 or None as fast as possible.
        transcriber: Makes text of the caller's audio, in sessions that want it; None: hears the simulator's own tones
            (see `decode_words`), and of any other sound says how long it is.
        transcription_delay_s: Seconds from the end of a turn to its transcript; 0 sends it before the response.
        faults: What is to go wrong on which connection, and when.

    Raises:
        ConfigError: An argument that is impossible, which it names: the caller's fault.
        ImpossibleFault: A fault that cannot act in a simulator: the caller's fault.
        TypeError: A brain that is none: the caller's fault.
    """

    def __init__(
        self,
        brain: Brain | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        models: Collection[str] | None = None,
        refuse_status: int | None = None,
        refuse_error: tuple[str, str, int] | None = None,
        retry_after_s: int = 1,
        delta_interval_s: float = 0.0,
        session_max_age_s: float = 3600.0,
        ping_interval_s: float | None = 20.0,
        log_limit: int = 100_000,
        ssl_context: ssl.SSLContext | None = None,
        allow_remote: bool = False,
        record: str | os.PathLike[str] | None = None,
        mcp_servers: Mapping[str, McpServer] | None = None,
        audio_pace: float | None = None,
        transcriber: Transcriber | None = None,
        transcription_delay_s: float = 0.0,
        faults: FaultPlan | None = None,
    ) -> None:
        brain = RuleBrain() if brain is None else brain
        check_brain(brain)
        check_record(record)
        if ping_interval_s is not None:
            check_more_than_0(ping_interval_s=ping_interval_s)
        check_whole(log_limit=log_limit)
        if faults is not None:
            check_plan(faults, "simulator")
        self._address = Address(host, port, ssl_context, allow_remote, api_key)
        self._entrance = Entrance(api_key, models)
        self.refuse_status = refuse_status
        self.refuse_error = refuse_error
        self.retry_after_s = retry_after_s
        self._recipe = SessionRecipe(
            delta_interval_s=delta_interval_s,
            session_max_age_s=session_max_age_s,
            mcp_servers=mcp_servers,
            audio_pace=audio_pace,
            transcriber=transcriber,
            transcription_delay_s=transcription_delay_s,
        )
        self.wire = WireLog(log_limit)
        self._brain: Brain = brain
        self._ping_interval_s = ping_interval_s
        self._record = record
        self._recording: Recording | None = None
        self._lines = Lines(faults)
        self._clients = Clients()
        self._thread = LoopThread("trunkline simulator")
        self._bound_port = 0

    # -- life --------------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen, and return self. Starting twice is an error.

        Raises:
            RuntimeError: It runs already: the caller's fault.
            OSError: The port cannot be had, or the file to record to.
        """
        self._thread.start(self._serve)
        return self

    def stop(self, timeout_s: float = 5.0) -> None:
        """Close all connections (1001), drop those that do not answer within half a second, end the thread.

        Stopping one that does not run does nothing.

        Raises:
            TimeoutError: The thread is still there after `timeout_s`: a brain blocks it.
        """
        if not self._thread.stop(timeout_s):
            raise TimeoutError(f"the simulator did not stop within {timeout_s} s: does its brain block?")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The endpoint without a query: `ws://127.0.0.1:<port>/v1/realtime`. Raises RuntimeError before `start()`."""
        if not self._thread.is_started:
            raise RuntimeError("the simulator is not running: call start(), or use it as a context manager")
        return self._address.url(self._bound_port)

    # -- connections and faults --------------------------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        return len(self._clients)

    @property
    def accepted(self) -> int:
        """How many upgrades were accepted so far."""
        return self._clients.n_accepted

    def wait_connections(self, count: int, timeout_s: float = 5.0) -> None:
        """Block until exactly `count` clients are connected.

        Raises:
            TimeoutError: It did not come to that within `timeout_s`.
        """
        self._clients.wait(count, timeout_s)

    @property
    def refuse_status(self) -> int | None:
        """The HTTP status that upgrades are refused with, or None. May be set at any time."""
        return self._entrance.refuse_status

    @refuse_status.setter
    def refuse_status(self, status: int | None) -> None:
        check_status(status)
        self._entrance.refuse_status = status

    @property
    def refuse_error(self) -> tuple[str, str, int] | None:
        """What clients are refused with after the upgrade, or None. May be set at any time."""
        return self._entrance.refuse_error

    @refuse_error.setter
    def refuse_error(self, error: tuple[str, str, int] | None) -> None:
        check_refusal(error)
        self._entrance.refuse_error = error

    @property
    def retry_after_s(self) -> int:
        """Seconds in the `Retry-After` of a 429. May be set at any time."""
        return self._entrance.retry_after_s

    @retry_after_s.setter
    def retry_after_s(self, seconds: int) -> None:
        check_whole(retry_after_s=seconds)
        self._entrance.retry_after_s = seconds

    def inject(self, frame: str | bytes) -> None:
        """Send a frame as it is to all clients: text for a string, binary for bytes.

        Raises:
            UnicodeEncodeError: A lone surrogate, which no text frame can hold: the caller's fault.
        """
        if isinstance(frame, str):
            frame.encode()
        self._on_each(lambda connection: connection.inject(frame))

    def close_all(self, code: int = 1000, reason: str = "") -> None:
        """Close all connections with a CLOSE frame, behind what is already queued; does not wait for the answers.

        Raises:
            ConfigError: A code or reason that no CLOSE can have: the caller's fault.
        """
        check_close("code", code, reason)
        self._on_each(lambda connection: connection.close(code, reason))

    def abort_all(self) -> None:
        """Reset all TCP connections: no CLOSE, nothing flushed."""
        self._on_each(lambda connection: connection.reset())

    def drop_all(self) -> None:
        """End all TCP connections behind what is already queued, without a CLOSE, as the service often does."""
        self._on_each(lambda connection: connection.drop())

    def mute(self, *, future: bool = False) -> None:
        """Go on reading all connections, but answer nothing on them any more: no event, no pong, not even CLOSE.

        Args:
            future: Also those that are made later, from their first byte: they get no upgrade. `unmute` ends this.
        """

        def mute() -> None:
            self._lines.mute_new = future
            self._lines.mute()

        self._thread.call(mute)

    def unmute(self) -> None:
        """Serve new connections again; those that were made mute stay so."""
        self._lines.mute_new = False

    # -- the thread --------------------------------------------------------------------------------------------------

    def _on_each(self, act: Callable[[Connection], None]) -> None:
        def act_on_all() -> None:
            for connection in self._clients.live():
                act(connection)

        self._thread.call(act_on_all)

    async def _serve(self, ready: Callable[[], None], stopping: asyncio.Event) -> None:
        lines = self._lines

        class OwnLine(Line):
            pass

        OwnLine.lines = lines
        server = await serve(
            self._handle,
            self._address.host,
            self._address.port,
            process_request=self._process_request,
            select_subprotocol=select_subprotocol,
            compression=None,
            create_connection=OwnLine,
            max_size=_MAX_FRAME_BYTES,
            open_timeout=None,  # a line has its own, which spares those that are silent on purpose
            ping_interval=self._ping_interval_s,
            ping_timeout=self._ping_interval_s,
            close_timeout=_CLOSE_GRACE_S,
            logger=_logger,
            ssl=self._address.ssl_context,
            backlog=_BACKLOG,
        )
        try:
            if self._record is not None:
                self._recording = Recording(self._record)
            self._bound_port = server.sockets[0].getsockname()[1]
            ready()
            await stopping.wait()
        finally:
            await _end(server, lines)
            if self._recording is not None:
                self._recording.close()

    async def _process_request(self, websocket: ServerConnection, request: Request) -> Response | None:
        assert isinstance(websocket, Line)
        if websocket.protocol.eof_sent:
            # Junk behind the request, or the client's end: websockets gave it up already, and must not answer it again.
            websocket.transport.abort()
            await websocket.wait_closed()
        refused = self._entrance.refused_upgrade(request.path)
        for fault in websocket.connecting:
            if isinstance(fault, HttpStatus):
                refused = fault.status, fault.retry_after_s
        if refused is None:
            return None
        self.wire.note_handshake(Handshake(0, request.path, lower(request.headers)))
        return refusal(websocket, *refused)

    async def _handle(self, websocket: ServerConnection) -> None:
        request = websocket.request
        assert isinstance(websocket, Line)
        assert request is not None
        number = self._clients.next_number()
        headers = lower(request.headers)
        self.wire.note_handshake(Handshake(number, request.path, headers))
        verdict = self._entrance.admit(request.path, headers)
        core = None
        if isinstance(verdict, Admitted):
            core = self._recipe.session(Ids(Random()), verdict.model, time.time())
        connection = Connection(number, websocket, partial(self._note_frame, number), core, self._brain)
        if isinstance(verdict, Refusal):
            connection.refuse(verdict)
        age_s = self._recipe.session_max_age_s
        expiry = asyncio.get_running_loop().call_later(age_s, connection.expire, age_s)
        self._clients.add(connection)
        try:
            await connection.run()
        finally:
            expiry.cancel()
            self._clients.discard(connection)
            code, reason = websocket.protocol.close_code, websocket.protocol.close_reason
            self.wire.note_closed(Closed(number, code or _ABNORMAL, reason or ""))

    def _note_frame(self, number: int, direction: Direction, frame: str | bytes) -> None:
        self.wire.note_frame(direction, number, type_of(frame), frame)
        if self._recording is not None:
            self._recording.note_frame(direction, number, frame)


async def _end(server: Server, lines: Lines) -> None:
    server.close()
    closed = asyncio.ensure_future(server.wait_closed())
    await asyncio.wait([closed], timeout=_CLOSE_GRACE_S)
    # Mute, stalled and half-open clients do not answer the CLOSE.
    lines.abort()
    await closed
