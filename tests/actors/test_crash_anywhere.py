"""A crash behind every single effect of a conversation: what was accepted is answered once, what was announced comes to its end.

The session is the core with a log and with what outlives its actor; the provider is a few lines that keep the protocol's rules.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from trunkline.actors.commands import CreateResponse, Interrupt, SendText
from trunkline.actors.effects import OpenLine, Record, Resolve, Send, StartTool, StopTool, accepted
from trunkline.actors.events import SessionEvent
from trunkline.actors.open_turns import TURN_EVENTS, OpenTurns, recollect
from trunkline.actors.recipe import SessionRecipe, build_core
from trunkline.actors.session_log import CallsBegan, MemorySessionLog
from trunkline.actors.tool import as_tool
from trunkline.actors.tool_outcome import ToolOutcome
from trunkline.actors.tool_runner import ParallelToolRunner
from trunkline.gateway.codec import decode_server_event, encode_client_event
from trunkline.gateway.config import Config
from trunkline.gateway.errors import LineClosed
from trunkline.gateway.openai import OpenAIGateway

SERVER: dict[str, Any] = {"id": "sess_1", "model": "m", "expires_at": 99}
ENDS = ("tool_call_completed", "tool_call_failed")


def look(what: str = "") -> str:
    """Look at something."""
    return what


LOOK = as_tool(look)
QUESTION = SendText("go")
GATEWAY = OpenAIGateway("key")  # both once: there are thousands of plays


class Crash(Exception):
    """The session's actor ends here."""


class Provider:
    """Keeps the protocol's rules: shows each item, plays one response at a time. `brain` sees the items, returns output items."""

    def __init__(self, brain: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        self._brain = brain
        self._ids = itertools.count(1)
        self.items: list[dict[str, Any]] = []

    def speak(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Respond without being asked to."""
        return self._respond({"response": {"metadata": None}})

    def hang_up(self) -> None:
        self.items = []

    def answer(self, frame: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        match frame["type"]:
            case "session.update":
                yield "session.updated", {"session": {**SERVER, **frame["session"]}}
            case "conversation.item.create":
                yield from self._shown(frame["item"])
            case "response.create":
                yield from self._respond(frame)
            case _:
                pass

    def _shown(self, item: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        before = self.items[-1]["id"] if self.items else None
        self.items.append(item)
        for step in ("added", "done"):
            yield f"conversation.item.{step}", {"item": item, "previous_item_id": before}

    def _respond(self, frame: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        response = {"id": f"r{next(self._ids)}", "conversation_id": "conv_1"}
        response["metadata"] = frame["response"]["metadata"]
        where = {"response_id": response["id"]}
        yield "response.created", {"response": {**response, "status": "in_progress"}}
        output = self._brain(self.items)
        for index, made in enumerate(output):
            made["id"] = f"made{next(self._ids)}"
            place = {**where, "output_index": index, "item_id": made["id"]}
            begun = {**made, "status": "in_progress", "content": [], "arguments": ""}
            yield "response.output_item.added", {**place, "item": begun}
            yield "conversation.item.added", {"item": begun}
            if made["type"] == "message":
                text = made["content"][0]["text"]
                yield "response.output_text.delta", {**place, "content_index": 0, "delta": text}
                yield "response.output_text.done", {**place, "content_index": 0, "text": text}
            else:
                arguments = {"call_id": made["call_id"], "arguments": made["arguments"]}
                yield "response.function_call_arguments.done", {**place, **arguments}
            made["status"] = "completed"
            self.items.append(made)
            yield "response.output_item.done", {**place, "item": made}
            yield "conversation.item.done", {"item": made}
        usage = {"total_tokens": 1, "input_tokens": 0, "output_tokens": 1}
        done = {**response, "status": "completed", "output": output, "usage": usage}
        yield "response.done", {"response": done}


class Session:
    """Performs what its core decides, and crashes in front of the effect of a given number.

    Attributes:
        seen: what a subscriber was told, over all incarnations.
        wire: what was sent on the line of now.
        ran: which tools were started.
        cut_before, lose_before: steps of provider or tools before which the user interrupts, or the line is lost.
    """

    def __init__(
        self, provider: Provider, config: Config, crashes: tuple[int, ...], *, outlives: bool
    ) -> None:
        self._provider = provider
        self._config = config
        self._crashes = crashes
        self._outlives = outlives
        self._ids = itertools.count(1)
        self.performed = 0
        self.log = MemorySessionLog()
        self.turns = OpenTurns()
        self.seen: list[SessionEvent] = []
        self.wire: list[dict[str, Any]] = []
        self.ran: Counter[str] = Counter()
        self.at_work: list[str] = []
        self.starts = 0
        self.n_crashes = self.n_steps = 0
        self.cut_before: tuple[int, ...] = ()
        self.lose_before: tuple[int, ...] = ()
        self._answered = False
        self._written: Any = None
        self._frames: list[tuple[str, dict[str, Any]]] = []
        self._guarded(self._begin)

    # -- the application and the provider

    def hear(self) -> None:
        """The provider responds of its own accord."""
        self._frames += self._provider.speak()

    def say(self, command: Any) -> None:
        """As a caller that tries again when its future failed."""
        self._answered = False
        effects: Any = ()

        def take() -> None:
            nonlocal effects
            effects = self.core.command(command, 1, 0.0)
            self._perform(effects)

        self._guarded(take)
        if not self._answered and not accepted(effects, self._written, {1}):
            self.say(command)

    def rest(self, *, tools: bool = True) -> None:
        """Let the provider say what it has to say (and the tools end), until nothing happens any more."""
        while self._frames or (tools and self.at_work):
            self.n_steps += 1
            self._step_in()
            if self._frames:
                kind, fields = self._frames.pop(0)
                frame = json.dumps({"type": kind, "event_id": "e", **fields}).encode()
                self._guarded(
                    lambda frame=frame: self._perform(self.core.receive(decode_server_event(frame), 0.0))
                )
            elif self.at_work:
                call_id = self.at_work.pop(0)
                outcome = ToolOutcome.succeeded(call_id, "look", f"seen {call_id}", f"seen {call_id}")
                self._guarded(lambda outcome=outcome: self._perform(self.core.tool_finished(outcome, 0.0)))

    def _step_in(self) -> None:
        """What is to happen before this step of theirs."""
        if self.n_steps in self.cut_before:
            self.say(Interrupt())
        if self.n_steps in self.lose_before:
            self._frames.clear()
            self._provider.hang_up()
            self._perform(self.core.line_lost(LineClosed(1006), 0.0))
            self._perform(self.core.timer("retry", 0.0))

    def history(self) -> list[Any]:
        return recollect(self.log, self.turns, with_tools=True).history.items()

    # -- its actor

    def _guarded(self, do: Callable[[], None]) -> None:
        try:
            do()
        except Crash:
            self.n_crashes += 1
            self._frames.clear()
            self._provider.hang_up()
            if not self._outlives:
                self.at_work.clear()
            self._guarded(self._begin)

    def _begin(self) -> None:
        recipe = SessionRecipe("session_1", "m", GATEWAY, self._config, {"look": LOOK}, ParallelToolRunner(2))
        memory = recollect(self.log, self.turns, with_tools=bool(self._config.tools))
        self.core = build_core(recipe, memory, self.starts, lambda prefix: f"{prefix}_{next(self._ids)}")
        self.starts += 1
        if self.starts > 1:
            self._perform(self.turns.crashed(memory.batches))
        self._perform(self.core.start(0.0, self.at_work))

    def _perform(self, effects: Any) -> None:
        for effect in effects:
            self.performed += 1
            if self.performed in self._crashes:
                raise Crash
            self._do(effect)

    def _do(self, effect: Any) -> None:
        match effect:
            case OpenLine(attempt):
                self.wire = []
                _, greeting = self.core.connected(attempt, 0.0)
                self._frames.append(("session.created", {"session": SERVER}))
                self._perform(greeting)
            case Send(event):
                frame = json.loads(encode_client_event(event))
                self.wire.append(frame)
                self._frames += self._provider.answer(frame)
            case Record(entry):
                self.log.append(entry)
                self._written = entry
            case Resolve():
                self._answered = True
            case StartTool(call_id=call_id):
                self.ran[call_id] += 1
                self.at_work.append(call_id)
            case StopTool(call_id):
                self.at_work.remove(call_id)
            case SessionEvent():
                if isinstance(effect, TURN_EVENTS):
                    self.turns.note(effect)
                self.seen.append(effect)
            case _:
                pass


def say(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def call(call_id: str, name: str = "look", arguments: str = "{}") -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def words_and_calls(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Say a word and call tools; when all outputs are there, say what they are."""
    outputs = [item["call_id"] for item in items if item["type"] == "function_call_output"]
    if set(outputs) >= {"c1", "c2", "c3"}:
        return [say("done")]
    return [say("one moment"), call("c1"), call("c2", "nobody"), call("c3")]


def words_alone(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [say("done")]


BRAINS = {"words": words_alone, "tools": words_and_calls}


def play(
    brain: str,
    *crashes: int,
    outlives: bool = True,
    own: bool = False,
    cut: bool = False,
    cut_before: tuple[int, ...] = (),
    lose_before: tuple[int, ...] = (),
    question: Any = QUESTION,
    **config: Any,
) -> Session:
    """A question, or (``own``) words of the provider's own, and all that follows; ``cut``: the user interrupts the tools."""
    settings = Config(
        modalities=["text"],
        turn_detection="none",
        input_audio_transcription=False,
        **{"tools": [LOOK], **config},
    )
    session = Session(Provider(BRAINS[brain]), settings, crashes, outlives=outlives)
    session.cut_before, session.lose_before = cut_before, lose_before
    session.rest()
    if own:
        session.hear()
    else:
        session.say(question)
    session.rest(tools=not cut)
    if cut:
        session.say(Interrupt())
        session.rest()
    return session


def each_crash(*args: Any, **kwargs: Any) -> Iterator[tuple[int, ...]]:
    """A crash in front of every effect there is, alone and with another one soon after."""
    for crash_at in range(1, play(*args, **kwargs).performed + 1):
        yield (crash_at,)
        yield from ((crash_at, crash_at + later) for later in (2, 9))


def check_each(check: Callable[[Session], None], *args: Any, **kwargs: Any) -> None:
    wrong: list[str] = []
    for crashes in each_crash(*args, **kwargs):
        session = play(*args, *crashes, **kwargs)
        assert session.n_crashes
        try:
            check(session)
            is_heard_to_the_end(session)
        except AssertionError as error:
            wrong.append(f"before effect {crashes}: {str(error).splitlines()[0]}")
    assert not wrong, "\n".join(wrong)


def is_answered(session: Session) -> None:
    assert recollect(session.log, session.turns, with_tools=True).open_asks == ()
    history = session.history()
    assert [item.text for item in history if item.role == "user"] == ["go"]
    assert [item.text for item in history if item.role == "assistant"][-1] == "done"
    assert [item.text for item in history].count("done") == 1
    has_each_output_once(session)


def has_each_output_once(session: Session) -> None:
    history = session.history()
    outputs = Counter(item.call_id for item in history if item.type == "function_call_output")
    assert all(count == 1 for count in outputs.values()), outputs
    calls = Counter(item.call_id for item in history if item.type == "function_call")
    assert calls == outputs
    items = [frame["item"] for frame in session.wire if frame["type"] == "conversation.item.create"]
    told = [item["call_id"] for item in items if item["type"] == "function_call_output"]
    assert len(told) == len(set(told)), told


def is_answered_if_written_down(session: Session) -> None:
    """What nobody asked for is lost with its line, until its calls are in the log."""
    has_each_output_once(session)
    if any(isinstance(entry, CallsBegan) for entry in session.log.read()):
        assert [item.text for item in session.history()][-1] == "done"


def is_heard_to_the_end(session: Session) -> None:
    """Whatever began came to its end, once."""
    begun = Counter(event.turn_id for event in session.seen if event.kind == "assistant_turn_started")
    over = Counter(event.turn_id for event in session.seen if event.kind == "assistant_turn_completed")
    assert begun == over
    assert not begun or max(begun.values()) == 1
    open_calls: Counter[tuple[str, str]] = Counter()
    for event in session.seen:
        if event.kind == "tool_call_started":
            open_calls[event.turn_id, event.call_id] += 1
        elif event.kind in ENDS:
            open_calls[event.turn_id, event.call_id] -= 1
        assert all(count in (0, 1) for count in open_calls.values()), (event, open_calls)
    assert not +open_calls, f"announced, and without an end: {open_calls}"


OUTLIVES = pytest.mark.parametrize("outlives", [True, False], ids=["tools outlive it", "tools die with it"])


@OUTLIVES
@pytest.mark.parametrize("brain", BRAINS)
def test_who_asked_is_answered_once(brain, outlives):
    check_each(is_answered, brain, outlives=outlives)


@pytest.mark.parametrize("tools", [[], [LOOK]], ids=["without tools", "with tools"])
@pytest.mark.parametrize(
    "question", [QUESTION, CreateResponse()], ids=["a message", "a reply to what is there"]
)
def test_what_is_asked_again_was_not_answered_as_far_as_the_model_knows(question, tools):
    def check(session: Session) -> None:
        assert recollect(session.log, session.turns, with_tools=bool(tools)).open_asks == ()
        assert [item.text for item in session.history() if item.role == "assistant"] == ["done"]

    check_each(check, "words", question=question, tools=tools)


@OUTLIVES
def test_calls_that_nobody_asked_for_are_answered_when_they_are_written_down(outlives):
    check_each(is_answered_if_written_down, "tools", own=True, outlives=outlives)


@OUTLIVES
@pytest.mark.parametrize("policy", ["drop", "settle", "submit_completed_only", "submit"])
def test_an_interruption_of_tools_is_carried_through(policy, outlives):
    config = (
        {"on_interrupt": "drop", "settle_dropped_calls": True}
        if policy == "settle"
        else {"on_interrupt": policy}
    )

    def check(session: Session) -> None:
        if policy.startswith("submit"):
            is_answered(session)
            return
        assert recollect(session.log, session.turns, with_tools=True).open_asks == ()
        assert "done" not in [item.text for item in session.history()], "nobody waits for an answer"
        if policy == "settle":
            has_each_output_once(session)

    check_each(check, "tools", cut=True, outlives=outlives, **config)


@pytest.mark.parametrize("brain", BRAINS)
def test_who_asked_is_answered_once_wherever_the_line_is_lost(brain):
    n_steps = play(brain).n_steps
    for first in range(3, n_steps + 1):  # the line is up
        for losses in ((first,), (first, first + 9)):
            session = play(brain, lose_before=losses)
            is_answered(session)
            is_heard_to_the_end(session)
            assert not session.ran or max(session.ran.values()) == 1, "tools outlive the line"


@pytest.mark.parametrize("policy", ["drop", "submit_completed_only", "submit"])
def test_whatever_is_interrupted_and_lost_comes_to_its_end(policy):
    for cut in range(4, play("tools").n_steps + 1):
        for later in (0, 1, 2, 5):
            session = play(
                "tools", cut_before=(cut, cut + 1), lose_before=(cut + later,), on_interrupt=policy
            )
            is_heard_to_the_end(session)
            interrupted = [event.turn_id for event in session.seen if event.kind == "interrupted"]
            assert len(interrupted) == len(set(interrupted))
            assert recollect(session.log, session.turns, with_tools=True).open_asks == ()
