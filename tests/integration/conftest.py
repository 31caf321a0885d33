"""The whole stack for a test: Broker, SessionActor and a real WebSocket, and at its other end the simulator or a puppet.

The simulator behaves; the puppet says only what the test says, for what no well-behaved server does.
"""

from __future__ import annotations

import gc
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pykka
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from trunkline import Broker, BrokerProxy, Config, EventStream, OpenAIGateway, SessionProxy, StreamTimeout
from trunkline.actors.events import Error, Event
from trunkline.gateway.simulator import FunctionBrain, Say, Simulator, Step, WireLog
from trunkline.supervision import zombies

PATIENCE_S = 20.0
TEXT = {"modalities": ["text"], "turn_detection": "none", "input_audio_transcription": False}
VOICE = {"modalities": ["audio"], "turn_detection": "server_vad", "input_audio_transcription": False}
FENCE = "fence_"


def wait_until(condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> bool:
    """Poll `condition` until it holds. A deadline, not a measure."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.002)
    return True


@pytest.fixture(autouse=True)
def _quick_to_reconnect(low_dice: None) -> None:
    """No test waits for the backoff."""


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Fail on an actor, a thread or an abandoned child that outlives its test."""
    threads_before = set(threading.enumerate())
    yield
    wait_until(lambda: not pykka.ActorRegistry.get_all() and not zombies())
    actors = [str(ref) for ref in pykka.ActorRegistry.get_all()]
    deadline = time.monotonic() + PATIENCE_S
    for thread in set(threading.enumerate()) - threads_before:
        thread.join(max(0.0, deadline - time.monotonic()))
    threads = [thread.name for thread in set(threading.enumerate()) - threads_before if thread.is_alive()]
    gc.collect()
    assert not actors, f"actors left behind: {actors}"
    assert not zombies(), f"abandoned children left behind: {zombies()}"
    assert not threads, f"threads left behind: {threads}"


class Puppet:
    """A server that greets, confirms and shows items by itself; everything else is the test's.

    `wire` is a WireLog as the simulator's. `echoes`: whether it is a provider that gives a response its create's metadata.
    `welcome`: who connects while it is cleared is greeted when it is set.
    """

    def __init__(self, *, echoes: bool = True) -> None:
        self.wire = WireLog()
        self.echoes = echoes
        self.confirms = True
        self.shows_items = True
        self.welcome = threading.Event()
        self.welcome.set()
        self._taken: dict[str, int] = {}
        self._connections: list[ServerConnection] = []
        self._handlers: list[threading.Thread] = []
        self._server: Server = serve(self._handle, "127.0.0.1", 0, compression=None)
        self._thread = threading.Thread(target=self._server.serve_forever, name="puppet")
        self._thread.start()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/v1/realtime"

    def inject(self, frame: str) -> None:
        connection = self._connections[-1]
        self.wire.note_frame("received", len(self._connections), json.loads(frame)["type"], frame)
        connection.send(frame)

    def drop(self) -> None:
        """End the line without a word."""
        self._connections[-1].socket.shutdown(socket.SHUT_RDWR)

    def lose(self) -> None:
        """Close the line as a server that goes away."""
        self._connections[-1].close(1001)

    def stop(self) -> None:
        self.welcome.set()
        self._server.shutdown()
        for connection in self._connections:
            connection.close()
        for thread in [self._thread, *self._handlers]:
            thread.join(PATIENCE_S)

    # -- what it says

    def send(self, type: str, /, **fields: Any) -> None:
        self.inject(json.dumps({"type": type, "event_id": "server_event", **fields}))

    def take(self, type: str) -> dict[str, Any]:
        """The next event of this type that the client sends; each is taken once."""
        number = self._taken[type] = self._taken.get(type, 0) + 1
        return self.wire.wait_sent(type, number, PATIENCE_S)[number - 1]

    def refuse(self, event_id: str | None, code: str, **fields: Any) -> None:
        detail = {"type": "invalid_request_error", "code": code, "message": f"no: {code}", **fields}
        self.send("error", error={**detail, "event_id": event_id})

    def begin(self, response: str, create: dict[str, Any] | None = None, **fields: Any) -> None:
        """`response.created`: for that create, or for one of the server's own."""
        self.send("response.created", response=self._response(response, "in_progress", create, fields))

    def done(
        self, response: str, status: str = "completed", create: dict[str, Any] | None = None, **fields: Any
    ) -> None:
        self.send("response.done", response=self._response(response, status, create, fields))

    def delta(self, response: str, text: str) -> None:
        self.send("response.output_text.delta", response_id=response, item_id=f"i_{response}", delta=text)

    def text_done(self, response: str, text: str) -> None:
        self.send("response.output_text.done", response_id=response, item_id=f"i_{response}", text=text)

    def call(
        self, response: str, call_id: str, name: str, arguments: str = "{}", *, index: int = 0
    ) -> dict[str, Any]:
        """The model writes a call, completely. Returns the item, as `response.done` lists it."""
        item = {"type": "function_call", "id": f"item_{call_id}", "call_id": call_id, "name": name}
        where = {"response_id": response, "output_index": index}
        begun = {**item, "status": "in_progress", "arguments": ""}
        self.send("response.output_item.added", item=begun, **where)
        self.send(
            "response.function_call_arguments.done",
            item_id=item["id"],
            call_id=call_id,
            name=name,
            arguments=arguments,
            **where,
        )
        done = {**item, "status": "completed", "arguments": arguments}
        self.send("response.output_item.done", item=done, **where)
        return done

    def _response(
        self, response: str, status: str, create: dict[str, Any] | None, fields: dict[str, Any]
    ) -> dict[str, Any]:
        metadata = (create or {}).get("response", {}).get("metadata") if self.echoes else None
        shape: dict[str, Any] = {"object": "realtime.response", "id": response, "status": status}
        return {**shape, "conversation_id": "conv_1", "output": [], "metadata": metadata, **fields}

    # -- its threads

    def _handle(self, connection: ServerConnection) -> None:
        self._handlers.append(threading.current_thread())
        self._connections.append(connection)
        number = len(self._connections)
        self.welcome.wait(PATIENCE_S)
        self.send("session.created", session={"id": "sess_1", "model": "m", "type": "realtime"})
        try:
            for frame in connection:
                event = json.loads(frame)
                self._answer(event)
                self.wire.note_frame("sent", number, event["type"], str(frame))
        except ConnectionClosed:
            return

    def _answer(self, event: dict[str, Any]) -> None:
        if event["type"] == "session.update" and self.confirms:
            self.send("session.updated", session={"id": "sess_1", **event["session"]})
        if event["type"] == "conversation.item.create" and self.shows_items:
            self.send("conversation.item.added", item=event["item"])
            self.send("conversation.item.done", item=event["item"])


class Watch:
    """A subscriber that remembers: `seen` holds every event it has read, the fences left out."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self._mark = 0
        self.seen: list[Event] = []

    def until(self, kind: str, **fields: Any) -> Any:
        """Read on to the next event of this kind with these fields, and return it."""
        while True:
            for index in range(self._mark, len(self.seen)):
                event = self.seen[index]
                if event.kind == kind and all(getattr(event, k) == v for k, v in fields.items()):
                    self._mark = index + 1
                    return event
            self._mark = len(self.seen)
            if not self._read():
                raise AssertionError(f"no {kind} {fields} came; seen: {self.kinds()}")

    def expect_end(self) -> None:
        """The stream is over."""
        assert self._stream.ended
        assert list(self._stream) == []

    def drain(self) -> None:
        """Take what is there."""
        while self._stream.backlog:
            self._read()

    def until_any(self, kinds: Iterable[str]) -> Any:
        """Read on to the next event of one of these kinds, and return it."""
        while True:
            for index in range(self._mark, len(self.seen)):
                if self.seen[index].kind in kinds:
                    self._mark = index + 1
                    return self.seen[index]
            self._mark = len(self.seen)
            if not self._read():
                raise AssertionError(f"none of {kinds} came; seen: {self.kinds()}")

    def fence(self, code: str) -> None:
        while (event := self._get()) is not None:
            if isinstance(event, Error) and event.code == code:
                return
            self.seen.append(event)
        raise AssertionError(f"the fence did not come; seen: {self.kinds()}")

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.seen if event.kind == kind]

    def kinds(self, turn_id: str | None = None) -> list[str]:
        """The kinds seen, of one turn if given; greetings left out."""
        greetings = ("session_opened", "session_updated")
        return [
            event.kind
            for event in self.seen
            if event.kind not in greetings and turn_id in (None, getattr(event, "turn_id", None))
        ]

    def _read(self) -> bool:
        event = self._get()
        if event is None:
            return False
        self.seen.append(event)
        return True

    def _get(self) -> Any:
        try:
            return self._stream.get(PATIENCE_S)
        except StreamTimeout:
            return None


class Stage:
    """A session with its server and its subscriber."""

    def __init__(self, server: Any, broker: BrokerProxy, session: SessionProxy) -> None:
        self.server = server
        self.wire: WireLog = server.wire
        self.wire.timeout_s = PATIENCE_S
        self.broker = broker
        self.session = session
        self.events = Watch(session.events())
        self._fences = itertools.count(1)

    def say(self, text: str) -> str:
        return self.session.send_text(text).get(timeout=PATIENCE_S)

    def interrupt(self) -> None:
        self.session.interrupt().get(timeout=PATIENCE_S)

    def sent(self, type: str | None = None) -> list[Any]:
        """What the client sent, without the session's update and the fences."""
        return [
            frame
            for frame in self.wire.sent(type)
            if frame["type"] not in ("session.update", "input_audio_buffer.clear")
        ]

    def types(self) -> list[str]:
        return [frame["type"] for frame in self.sent()]

    def outputs(self) -> list[tuple[str, str]]:
        """The function_call_outputs sent, as (call_id, output)."""
        items = [frame["item"] for frame in self.sent("conversation.item.create")]
        return [(item["call_id"], item["output"]) for item in items if item["type"] == "function_call_output"]

    def quiet(self) -> None:
        """Let everything that is under way arrive, at both ends: after this, what has not been sent or seen will not be."""
        self._fence_to_subscriber()
        before = len(self.wire.sent("input_audio_buffer.clear"))
        self.session.clear_audio().get(timeout=PATIENCE_S)
        self.wire.wait_sent("input_audio_buffer.clear", before + 1, PATIENCE_S)
        self._fence_to_subscriber()

    def _fence_to_subscriber(self) -> None:
        code = f"{FENCE}{next(self._fences)}"
        self.server.inject(json.dumps({"type": "error", "event_id": "fence", "error": {"code": code}}))
        self.events.fence(code)


@pytest.fixture
def servers() -> Iterator[list[Any]]:
    """What the test's sessions talk to; stopped when the sessions are gone."""
    servers: list[Any] = []
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def open_session(servers: list[Any]) -> Iterator[Callable[..., Stage]]:
    """`open_session(server, runner=None, gateway=None, **config)`: a Stage on this server; everything is stopped at the end."""
    brokers: list[BrokerProxy] = []

    def start(server: Any, *, runner: Any = None, gateway: Any = None, **config: Any) -> Stage:
        gateway = gateway or OpenAIGateway(api_key="test", base_url=server.url)
        broker = Broker.start(
            "gpt-realtime-2", gateway=gateway, config=Config(**{**TEXT, **config}), tool_runner=runner
        )
        brokers.append(broker)
        return Stage(server, broker, broker.connect().get(timeout=PATIENCE_S))

    yield start
    for broker in brokers:
        broker.stop().get(timeout=PATIENCE_S)


class Script:
    """A brain that plays one list of steps per response, then says "ok". `heard` holds the conversations it was shown."""

    def __init__(self, replies: Iterable[Iterable[Step]]) -> None:
        self._replies = iter(replies)
        self.heard: list[Any] = []

    def reply(self, conversation: Any) -> Iterable[Step]:
        self.heard.append(conversation)
        return next(self._replies, [Say("ok")])


@pytest.fixture
def simulate(open_session: Callable[..., Stage], servers: list[Any]) -> Callable[..., Any]:
    """`stage, heard = simulate(*replies, runner=None, **config)`: a session with a simulator that plays these replies in turn.

    `heard` is the list of conversations that its brain was shown.
    """

    def start(*replies: Iterable[Step], runner: Any = None, **config: Any) -> Any:
        script = Script(replies)
        simulator = Simulator(FunctionBrain(script.reply)).start()
        servers.append(simulator)
        return open_session(simulator, runner=runner, **config), script.heard

    return start


@pytest.fixture
def puppeteer(open_session: Callable[..., Stage], servers: list[Any]) -> Callable[..., Any]:
    """`stage, puppet = puppeteer(echoes=True, **config)`: a session with a server that the test plays itself."""

    def start(*, echoes: bool = True, runner: Any = None, **config: Any) -> Any:
        puppet = Puppet(echoes=echoes)
        servers.append(puppet)
        return open_session(puppet, runner=runner, **config), puppet

    return start


@pytest.fixture
def voice() -> dict[str, Any]:
    """The configuration of a session with the server's turn detection."""
    return dict(VOICE)


@pytest.fixture
def patience_s() -> float:
    """How long a test waits for what must come."""
    return PATIENCE_S
