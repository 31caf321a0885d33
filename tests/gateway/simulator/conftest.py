"""A client on a real socket, plain dictionaries in and out, and a watch on leaked threads."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from trunkline.gateway.simulator import Simulator

DEADLINE_S = 5.0
Event = dict[str, Any]


class Client:
    """A realtime client without any of our code: it sends and receives plain JSON."""

    def __init__(self, url: str, model: str | None = "gpt-realtime-2", **options: Any) -> None:
        query = "" if model is None else f"?model={model}"
        self._stack = ExitStack()
        self.socket: ClientConnection = self._stack.enter_context(
            connect(
                url + query,
                open_timeout=DEADLINE_S,
                close_timeout=1,
                compression=None,
                max_size=None,
                proxy=None,
                **options,
            )
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def send(self, type: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": type, **fields}))

    def next(self) -> Event:
        return json.loads(self.socket.recv(timeout=DEADLINE_S))

    def until(self, type: str) -> list[Event]:
        """Receive up to and with the next event of this type."""
        events = [self.next()]
        while events[-1]["type"] != type:
            events.append(self.next())
        return events

    def expect(self, type: str) -> Event:
        """Receive the next event, which has to be of this type."""
        event = self.next()
        assert event["type"] == type, event
        return event

    def refused(self, type: str, **fields: Any) -> Event:
        """Send something that is refused, and return the error."""
        self.send(type, **fields)
        return self.expect("error")["error"]

    def text_session(self, **session: Any) -> Client:
        """Take `session.created` and switch to text."""
        self.expect("session.created")
        self.send("session.update", session={"type": "realtime", "output_modalities": ["text"], **session})
        self.expect("session.updated")
        return self

    def say(self, text: str, **item: Any) -> Event:
        """Add a user message and return the item."""
        content = [{"type": "input_text", "text": text}]
        self.send(
            "conversation.item.create", item={"type": "message", "role": "user", "content": content, **item}
        )
        self.expect("conversation.item.added")
        return self.expect("conversation.item.done")["item"]

    def respond(self, **response: Any) -> list[Event]:
        """Ask for a response and receive all of it."""
        self.send("response.create", **({"response": response} if response else {}))
        return self.until("rate_limits.updated")

    def ask(self, text: str) -> str:
        """Say something and return the text of the answer."""
        self.say(text)
        return "".join(
            event["delta"] for event in self.respond() if event["type"] == "response.output_text.delta"
        )


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(DEADLINE_S)
        assert not thread.is_alive(), f"left over: {thread.name}"


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def simulate(cleanup: ExitStack) -> Callable[..., Simulator]:
    """Start a simulator with the given arguments."""

    def start(*args: Any, **kwargs: Any) -> Simulator:
        return cleanup.enter_context(Simulator(*args, **kwargs))

    return start


@pytest.fixture
def connected(cleanup: ExitStack) -> Callable[..., Client]:
    """Connect a client to a simulator."""

    def start(simulator: Simulator, model: str | None = "gpt-realtime-2", **options: Any) -> Client:
        return cleanup.enter_context(Client(simulator.url, model, **options))

    return start


@pytest.fixture
def client_of(cleanup: ExitStack) -> Callable[..., Client]:
    """Connect a client to a URL."""

    def start(url: str, model: str | None = "gpt-realtime-2", **options: Any) -> Client:
        return cleanup.enter_context(Client(url, model, **options))

    return start
