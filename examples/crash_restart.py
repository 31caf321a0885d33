"""A session's actor crashes; its supervisor restarts it, and the conversation goes on through the same proxy."""

from provider import gateway

from trunkline import (
    AssistantText,
    AssistantTurnCompleted,
    Broker,
    Config,
    Event,
    EventStream,
    SessionUpdated,
)
from trunkline.supervision.testing import crash


def answer(events: EventStream) -> str:
    """Return what the assistant says in its next turn."""
    text = ""
    for event in events:
        match event:
            case AssistantText():
                text = event.text
            case AssistantTurnCompleted():
                return text
    raise SystemExit("the session ended")


def resumed(events: EventStream) -> Event:
    """Return the event that says the conversation goes on."""
    for event in events:
        if isinstance(event, SessionUpdated) and event.resumed:
            return event
    raise SystemExit("the session ended")


config = Config(modalities=["text"], turn_detection="none")

with gateway() as provider, Broker.start("gpt-realtime-2", gateway=provider, config=config) as broker:
    session, neighbour = broker.connect().get(), broker.connect().get()
    events, elsewhere = session.events(), neighbour.events()

    session.send_text("My name is Ada.").get()
    print(answer(events))
    print(broker.tree())

    crash(session.actor_ref, RuntimeError("on purpose"))
    print(resumed(events))
    print(broker.tree())

    session.send_text("What is my name?").get()
    print(answer(events))
    neighbour.send_text("What's the capital of Japan?").get()
    print(answer(elsewhere))
