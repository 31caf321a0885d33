"""Sessions that lose their line: a simulator with faults, a brain that shows what it heard, a subscriber that checks its turns."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from trunkline import OpenAIGateway, RawFrame, tool
from trunkline.actors.named_timers import TimerDue
from trunkline.gateway.simulator import (
    CallTool,
    FunctionBrain,
    Gate,
    Hold,
    Say,
    Simulator,
    Speak,
    encode_words,
)
from trunkline.testing import FaultPlan, FaultyGateway


def users(conversation: Any) -> list[str]:
    return [text for text in conversation.user_texts if text]


def text_brain(conversation: Any) -> list[Any]:
    return [Say("heard " + " ".join(users(conversation)))]


def voice_brain(conversation: Any) -> list[Any]:
    return [Speak("heard " + " ".join(users(conversation)), word_ms=20)]


def tool_brain(conversation: Any) -> list[Any]:
    """Each user message is looked up once: a word, then a call; with its output in the conversation, the answer."""
    kinds = [(item.get("type"), item.get("role")) for item in conversation.items]
    last_user = max(index for index, kind in enumerate(kinds) if kind == ("message", "user"))
    if ("function_call_output", None) in kinds[last_user:]:
        return [Say("heard " + " ".join(users(conversation)))]
    return [Say("wait"), CallTool("look", {"what": users(conversation)[-1]})]


class Half:
    """A brain whose first answer stops in the middle; then it says what it heard."""

    def __init__(self) -> None:
        self._first = True

    def __call__(self, conversation: Any) -> list[Any]:
        if self._first:
            self._first = False
            return [Say(["half ", Hold(Gate()), "whole"])]
        return text_brain(conversation)


@tool
def look(what: str) -> str:
    """Look at something."""
    return f"{what} seen"


class Kind:
    """One kind of turn: how the session is configured, what its model says, how the user says a word."""

    def __init__(self, name: str, brain: Any, speaks: bool = False, **config: Any) -> None:
        self.name, self.brain, self.speaks, self.config = name, brain, speaks, config

    def say(self, stage: Any, word: str) -> None:
        if not self.speaks:
            stage.say(word)
            return
        sound = encode_words(word)
        silence = np.zeros(24_000, np.int16)
        for part in np.array_split(np.concatenate([silence, sound, silence]), 10):
            stage.session.send_audio_frame(part)


KINDS = {
    "text": Kind("text", text_brain),
    "tool": Kind("tool", tool_brain, tools=[look]),
    "spoken": Kind("spoken", voice_brain, speaks=True, modalities=["audio"], turn_detection="server_vad"),
}
KINDS["spoken"].config["input_audio_transcription"] = True


@pytest.fixture
def kinds() -> dict[str, Kind]:
    return KINDS


@pytest.fixture
def rig(open_session: Callable[..., Any], servers: list[Any]) -> Callable[..., Any]:
    """`rig(kind, *faults, **config)`: a Stage of this kind of turn; its server has `plan`.

    `brain`: another than the kind's; `half`: see Half.
    """

    def start(
        kind: str = "text",
        *faults: Any,
        options: Any = None,
        brain: Any = None,
        half: bool = False,
        seam: str = "simulator",
        gateway: Any = None,
        **config: Any,
    ) -> Any:
        plan = FaultPlan(*faults, seed=1)
        here = plan if seam == "simulator" else None
        simulator = Simulator(
            FunctionBrain(brain or (Half() if half else KINDS[kind].brain)), faults=here, **(options or {})
        ).start()
        servers.append(simulator)
        made = gateway(simulator.url) if gateway else OpenAIGateway("test", base_url=simulator.url)
        if seam == "transport":
            made = FaultyGateway(made, plan)
        stage = open_session(simulator, gateway=made, **{**KINDS[kind].config, **config})
        stage.plan = plan
        return stage

    return start


class Move:
    """A session's way to another line, step by step: the times of it are when the test says, the provider's end is far."""

    def __init__(self, stage: Any) -> None:
        self._stage = stage
        self._frames = stage.session.events(raw=True)

    def due(self) -> None:
        """It is time to open the line that follows."""
        self._stage.session.actor_ref.tell(TimerDue("rollover"))

    def limit(self) -> None:
        """It is time to move, idle or not."""
        self._stage.session.actor_ref.tell(TimerDue("rollover_limit"))

    def until_ready(self) -> None:
        """Have the line opened, and go on when the session knows that it is there."""
        self.due()
        self.until_told("session.updated")
        self._stage.session.get_instructions().get(timeout=10)  # what came with it is dealt with

    def until_told(self, type: str) -> None:
        """Have the session read on to the next event of this type, of whatever line."""
        while True:
            event = self._frames.get(10)
            if isinstance(event, RawFrame) and (event.direction, event.type) == ("received", type):
                return


@pytest.fixture
def move() -> type[Move]:
    return Move


class Answers:
    """What a subscriber saw of the assistant's turns, checked."""

    FINAL = ("assistant_text", "assistant_transcript")

    def __init__(self, stage: Any) -> None:
        self._stage = stage

    def until(self, text: str) -> None:
        """Read on to this answer, and to the end of its turn: an interrupted one is none."""
        events = self._stage.events
        while True:
            said = {event.turn_id: event.text for event in events.seen if event.kind in self.FINAL}
            for event in events.of("assistant_turn_completed"):
                if event.status == "completed" and said.get(event.turn_id, "") == text:
                    return
            events.until("assistant_turn_completed")

    def until_said(self, word: str) -> None:
        """Read on to the last words of an answer that ends so, whatever became of its turn."""
        events = self._stage.events
        while not any(e.text.split()[-1:] == [word] for e in events.seen if e.kind in self.FINAL):
            events.until_any(self.FINAL)

    def until_ends_with(self, word: str) -> None:
        """Read on to a whole answer that ends so."""
        events = self._stage.events
        while True:
            said = {event.turn_id: event.text for event in events.seen if event.kind in self.FINAL}
            for event in events.of("assistant_turn_completed"):
                if event.status == "completed" and said.get(event.turn_id, "").split()[-1:] == [word]:
                    return
            events.until("assistant_turn_completed")

    def until_answered_or(self, crashed: Callable[[], object]) -> None:
        """Read on to the end of an answer to everything so far, unless the session crashed meanwhile."""
        events = self._stage.events
        while not crashed():
            events.drain()
            ended = [e.turn_id for e in events.of("assistant_turn_completed") if e.status == "completed"]
            calls = {event.turn_id for event in events.of("tool_call_started")}
            users = len(self._stage.wire.sent("response.create"))
            if len(ended) >= users and ended and ended[-1] not in calls:
                return
            threading.Event().wait(0.005)

    def quiet(self) -> None:
        """Let the fault come that may be under way, and the line that follows it, and then everything else."""
        stage = self._stage
        deadline = time.monotonic() + 10.0
        pause = threading.Event()
        while not (stage.plan.fired or self._server_is_done()):
            assert time.monotonic() < deadline, stage.wire.excerpt()
            pause.wait(0.01)
        if stage.plan.fired and not any(event.resumed for event in stage.events.of("session_updated")):
            stage.events.until("session_updated", resumed=True)
        stage.quiet()

    def _server_is_done(self) -> bool:
        """The limits are what a server says last of a response."""
        said = Counter(frame["type"] for frame in self._stage.wire.received())
        return 0 < said["response.done"] == said["rate_limits.updated"]

    def _calls(self, *kinds: str) -> Counter[tuple[str, str]]:
        events = self._stage.events
        return Counter((event.turn_id, event.call_id) for kind in kinds for event in events.of(kind))

    def _calls_are_over(self) -> bool:
        """Each call that was announced came to its end, once."""
        self._stage.events.drain()
        return self._calls("tool_call_started") == self._calls("tool_call_completed", "tool_call_failed")

    def check(self) -> None:
        """Each turn and each call that began ended once; nothing of an interrupted turn came behind."""
        deadline = time.monotonic() + 10.0
        while not self._calls_are_over():  # a tool may be at work yet
            assert time.monotonic() < deadline, self._stage.events.kinds()
            threading.Event().wait(0.01)
        events = self._stage.events.seen
        started = [event.turn_id for event in events if event.kind == "assistant_turn_started"]
        ended = [event.turn_id for event in events if event.kind == "assistant_turn_completed"]
        assert sorted(started) == sorted(ended), self._stage.events.kinds()
        for turn_id in started:
            kinds = self._stage.events.kinds(turn_id)
            assert kinds.count("interrupted") <= 1, kinds
            if "interrupted" in kinds:
                behind = kinds[kinds.index("interrupted") + 1 :]
                others = [kind for kind in behind if not kind.startswith("tool_call")]
                over = kinds.index("assistant_turn_completed") < kinds.index("interrupted")
                assert others == ([] if over else ["assistant_turn_completed"]), kinds
        assert "session_closed" not in self._stage.events.kinds()


@pytest.fixture
def answers() -> type[Answers]:
    return Answers
