"""The far end of the soak: a simulator in a process of its own, whose brain answers by tokens. Owns a process.

Every message of a user carries a token, a word such as ``t17x3x5`` (caller, session, message). The brain answers each token
that no assistant message of the conversation has said yet, once; asked again for nothing new it says ``idle``, which gives a
doubled request away. A message's first word says what it wants:

- ``say``: an answer at once; ``long``: one that takes most of a second, to be interrupted;
- ``tool``: as many calls of ``stamp`` as the word behind it says, and an answer when their outputs are there;
- ``audit``: what the conversation looks like from here: the tokens of the user's messages in order, the outputs by call_id.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from wire_faults import wire_plan

from trunkline.simulator import CallTool, Conversation, Pause, Say, Simulator, Step

TOKEN = re.compile(r"\bt\d+x\d+x\d+\b")
LONG = "and so on " * 8
WORD_S = 0.02
MAX_AGE_S = 14.0
"""What the provider allows a session to last; with callers that talk for twenty seconds most lines have a successor."""


def text_of(item: Mapping[str, Any]) -> str:
    parts = item.get("content") or ()
    return " ".join(said for part in parts if (said := part.get("text") or part.get("transcript")))


def messages(conversation: Conversation, role: str) -> list[str]:
    items = conversation.items
    return [text_of(item) for item in items if item.get("type") == "message" and item.get("role") == role]


def outputs_by_call(conversation: Conversation) -> Counter[str]:
    items = conversation.items
    return Counter(str(item["call_id"]) for item in items if item.get("type") == "function_call_output")


def audit(conversation: Conversation) -> str:
    users = [token for said in messages(conversation, "user") for token in TOKEN.findall(said)]
    outputs = [f"{call_id}={n}" for call_id, n in outputs_by_call(conversation).items()]
    return f"users {','.join(users)} outputs {','.join(outputs)} end"


class TokenBrain:
    """Answers all sessions; notes which caller a connection belongs to, and who said the same twice on one of them."""

    def __init__(self) -> None:
        self.connections: defaultdict[str, list[int]] = defaultdict(list)
        self.said_twice: list[tuple[str, str]] = []

    def for_connection(self, number: int) -> "OneLine":
        return OneLine(self, number)

    def reply(self, conversation: Conversation) -> Iterable[Step]:
        said = " ".join(messages(conversation, "assistant"))
        done = set(TOKEN.findall(said))
        asked = [text for text in messages(conversation, "user") if TOKEN.search(text)]
        waiting = [text for text in asked if not done.issuperset(TOKEN.findall(text))]
        if not waiting:
            return [Say("idle")]
        calls = calls_wanted(waiting, conversation)
        if calls:
            return calls
        tokens = " ".join(token for text in waiting for token in TOKEN.findall(text))
        if waiting[-1].startswith("audit"):
            return [Say(f"{tokens} {audit(conversation)}")]
        if waiting[-1].startswith("long"):
            return [Pause(WORD_S), Say(f"{tokens} {LONG}", delay_s=WORD_S)]
        return [Say(f"{tokens} is answered")]


def calls_wanted(waiting: list[str], conversation: Conversation) -> list[Step]:
    answered = outputs_by_call(conversation)
    calls = [item for item in conversation.items if item.get("type") == "function_call"]
    served = {TOKEN.findall(str(call["arguments"]))[0] for call in calls if answered[str(call["call_id"])]}
    steps: list[Step] = []
    for text in waiting:
        token = TOKEN.findall(text)[0]
        if text.startswith("tool") and token not in served:
            steps += [CallTool("stamp", {"token": token, "nth": nth}) for nth in range(int(text.split()[1]))]
    return steps


class OneLine:
    """The brain of one connection."""

    def __init__(self, brain: TokenBrain, number: int) -> None:
        self._brain = brain
        self._number = number
        self._caller = ""
        self._there: dict[str, str] = {}  # item id -> the output or the user's message that it is

    def reply(self, conversation: Conversation) -> Iterable[Step]:
        return self._brain.reply(conversation)

    def observe(self, event: Mapping[str, Any]) -> None:
        match event.get("type"):
            case "session.update":
                self._caller = str((event.get("session") or {}).get("instructions"))
                if self._number not in self._brain.connections[self._caller]:
                    self._brain.connections[self._caller].append(self._number)
            case "conversation.item.create":
                self._created(event.get("item") or {})
            case "conversation.item.delete":
                self._there.pop(str(event.get("item_id")), None)
            case _:
                pass

    def _created(self, item: Mapping[str, Any]) -> None:
        """Note what is told on this line. The audit would not know of what is doubled on a line that has a successor."""
        tokens = TOKEN.findall(text_of(item)) if item.get("role") == "user" else []
        told = [f"output of {item['call_id']}"] if item.get("type") == "function_call_output" else tokens
        for what in told:
            if what in self._there.values():
                self._brain.said_twice.append((self._caller, what))
            self._there[str(item.get("id"))] = what


def short(event: Mapping[str, Any]) -> str:
    """Return an event as one line for people."""
    fields = {name: value for name, value in event.items() if name not in ("type", "audio")}
    if str(event.get("type", "")).endswith("audio.delta"):
        fields.pop("delta", None)
    text = " ".join(f"{name}={value!r:.300}" for name, value in fields.items())
    return f"{event.get('type')} {text}"


def frames(simulator: Simulator, brain: TokenBrain, caller: str) -> list[str]:
    """Return what went over the lines of one session, in order."""
    lines: list[tuple[int, str]] = []
    for number in brain.connections[caller]:
        for way, events in (
            ("-> ", simulator.wire.sent(connection=number)),
            ("<- ", simulator.wire.received(connection=number)),
        ):
            lines += [(event.position, f"{number} {way}{short(event)}") for event in events]
        lines += [
            (1 << 60, f"{number} closed {one.code} {one.reason}")
            for one in simulator.wire.closed()
            if one.connection == number
        ]
    return [line for _, line in sorted(lines)]


def serve(pipe: Connection, seed: int, seconds: float, sessions: int, rate: float) -> None:
    """Run the simulator until the pipe says so; answer what is asked over the pipe."""
    plan = wire_plan(seed, seconds, sessions, rate)
    brain = TokenBrain()
    options: dict[str, Any] = {"ping_interval_s": None, "log_limit": 150_000, "session_max_age_s": MAX_AGE_S}
    with Simulator(brain, faults=plan, **options) as simulator:
        pipe.send(simulator.url)
        while True:
            what, argument = pipe.recv()
            match what:
                case "said twice":
                    pipe.send(brain.said_twice)
                case "frames":
                    pipe.send(frames(simulator, brain, argument))
                case "fired":
                    pipe.send(Counter(type(firing.fault).__name__ for firing in plan.fired))
                case _:
                    return
