"""What ``make run`` plays: a question, two tools at once, a crash on purpose, and the same session going on.

Without OPENAI_API_KEY it talks to the simulator over a real WebSocket on this machine; with it, to OpenAI.
"""

import os
import sys
import threading
import time

from provider import gateway

from trunkline import (
    AssistantTextDelta,
    AssistantTurnCompleted,
    Broker,
    BrokerProxy,
    Config,
    Error,
    Event,
    EventStream,
    SessionProxy,
    SessionUpdated,
    ToolCallCompleted,
    ToolCallDispatched,
    tool,
)
from trunkline.supervision.testing import crash

MODEL = os.environ.get("TRUNKLINE_MODEL", "gpt-realtime-2")
PATIENCE_S = 30.0

started = time.monotonic()


def say(text: str) -> None:
    """Print a line with the time since the start."""
    print(f"{time.monotonic() - started:6.2f}s  {text}", flush=True)


class Overlap:
    """Counts how many tools are at work at the same time."""

    def __init__(self) -> None:
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


overlap = Overlap()


@tool
def get_weather(city: str) -> str:
    """Get the weather in a city.

    Args:
        city: the city's name.
    """
    with overlap:
        time.sleep(0.6)
    return f"{city}: 18 degrees and sunny"


def turn(events: EventStream) -> None:
    """Print what happens until the assistant has answered in words."""
    spoke = False
    while True:
        event = events.get(PATIENCE_S)
        match event:
            case AssistantTextDelta(delta=delta):
                print(
                    delta if spoke else f"{time.monotonic() - started:6.2f}s  assistant: {delta}",
                    end="",
                    flush=True,
                )
                spoke = True
            case ToolCallDispatched(name=name, args=args, call_id=call_id):
                say(f"tool starts: {name}({args.get('city')})  [{call_id[-6:]}]")
            case ToolCallCompleted(result=result, call_id=call_id):
                say(f"tool is done: {result}  [{call_id[-6:]}]")
            case Error(message=message):
                say(f"error: {message}")
            case AssistantTurnCompleted() if spoke:
                print()
                return


def ask(session: SessionProxy, events: EventStream, question: str) -> None:
    """Ask, and print the answer as it streams."""
    say(f"user: {question}")
    session.send_text(question).get(timeout=PATIENCE_S)
    turn(events)


def wait_until_resumed(events: EventStream) -> SessionUpdated:
    """Return the event that says the session goes on."""
    while True:
        event: Event = events.get(PATIENCE_S)
        if isinstance(event, SessionUpdated) and event.resumed:
            return event


def show(title: str, broker: BrokerProxy) -> None:
    """Print the supervision tree."""
    say(title)
    print("\n".join(f"         {line}" for line in str(broker.tree()).splitlines()))


def main() -> None:
    """Play the conversation."""
    config = Config(
        modalities=["text"],
        instructions="You are a concise assistant. Use the tools you are given.",
        turn_detection="none",
        input_audio_transcription=False,
        tools=[get_weather],
    )
    say(f"talking to {'OpenAI' if os.environ.get('OPENAI_API_KEY') else 'the simulator'}, model {MODEL}")
    with (
        gateway(delta_interval_s=0.05) as provider,
        Broker.start(MODEL, gateway=provider, config=config) as broker,
    ):
        session, neighbour = (
            broker.connect().get(timeout=PATIENCE_S),
            broker.connect().get(timeout=PATIENCE_S),
        )
        events, elsewhere = session.events(), neighbour.events()

        say("--- a question and its answer")
        ask(session, events, "What's the capital of Canada?")
        ask(session, events, "My name is Ada.")

        say("--- two tool calls in parallel")
        ask(session, events, "What's the weather in Paris and in Tokyo?")
        say(f"at most {overlap.most} tools were at work at the same time")

        say("--- the session's actor crashes")
        show("the tree before:", broker)
        crash(session.actor_ref, RuntimeError("on purpose"))
        updated = wait_until_resumed(events)
        say(f"the session goes on, on a new socket; restarts: {updated.restarts}")
        show("the tree after (one session restarted, nobody else was):", broker)

        say("--- the same proxy, the same subscription")
        ask(session, events, "What is my name?")
        say("--- and the neighbour never noticed")
        ask(neighbour, elsewhere, "What's the capital of Japan?")
    threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    say(f"all is closed; threads left: {threads or 'none'}")
    sys.exit(1 if threads else 0)


if __name__ == "__main__":
    main()
