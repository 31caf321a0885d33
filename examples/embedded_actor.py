"""Somebody else's pykka system: its own actor subscribes to a session, and asks through the proxy."""

import threading
from typing import Any

import pykka
from provider import gateway

from trunkline import AssistantText, Broker, Config, RealtimeClose, RealtimeEvent, SessionProxy


class FrontDesk(pykka.ThreadingActor):
    """A plain pykka actor that existed before Trunkline came."""

    def __init__(self, session: SessionProxy) -> None:
        super().__init__()
        self._session = session
        self._answers: list[str] = []
        self.answered = threading.Event()
        self.closed = threading.Event()

    def on_start(self) -> None:
        self._session.subscribe(self.actor_ref).get()

    def on_receive(self, message: Any) -> None:
        match message:
            case RealtimeEvent(event=AssistantText(text=text)):
                self._answers.append(text)
                self.answered.set()
            case RealtimeClose(reason=reason):
                print(f"front desk: the session was closed by the {reason}")
                self.closed.set()

    def ask(self, question: str) -> str:
        """Return the id of the accepted message; the answer comes as an event."""
        return self._session.send_text(question).get()

    def last_answer(self) -> str:
        return self._answers[-1]


config = Config(modalities=["text"], turn_detection="none")

with gateway() as provider, Broker.start("gpt-realtime-2", gateway=provider, config=config) as broker:
    session = broker.connect().get()
    desk = FrontDesk.start(session).proxy()
    item_id = desk.ask("What's the capital of France?").get()
    print(f"front desk: accepted as {item_id.split('_')[0]}")
    assert desk.answered.get().wait(10)
    print(f"front desk: {desk.last_answer().get()}")
    session.close().get()
    assert desk.closed.get().wait(10)
    desk.stop()
