"""What holds for the session core whatever is said to it, in whatever order: laws of the contract, tried on random plays.

Two servers: one that keeps the protocol's rules but is slow, forgetful and full of ideas of its own, and one that keeps none.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline.actors.commands import (
    AwaitOpen,
    ClearAudio,
    CommitAudio,
    CreateResponse,
    GetInstructions,
    Interrupt,
    SendAudio,
    SendText,
    UpdateInstructions,
)
from trunkline.actors.effects import (
    Finish,
    Reject,
    Resolve,
    Send,
    SendToNext,
    StartTimer,
    StartTool,
    StopTimer,
    SwitchLine,
)
from trunkline.actors.memory import recall
from trunkline.actors.tool_outcome import ToolOutcome
from trunkline.actors.tool_runner import ParallelToolRunner, SerialToolRunner
from trunkline.gateway.codec import decode_server_event
from trunkline.gateway.errors import LineClosed, ProtocolError

ACTIVE = "conversation_already_has_active_response"
DELTAS = {
    "assistant_text_delta",
    "assistant_transcript_delta",
    "assistant_audio_delta",
    "tool_call_args_delta",
}
LAWFUL = settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Play:
    """A core, and a server that keeps the rules: one default response at a time, every frame answered in its order or lost.

    Each method `do_*` is a step; a step that is not possible now does nothing.
    """

    def __init__(self, core: Any, *, echoes: bool, vad: bool) -> None:
        self.core = core
        self.echoes = echoes
        self.vad = vad
        self.read = 0  # client frames the server has read
        self.checked = 0  # effects that were checked
        self.line_began = 0  # wire index
        self.active: str | None = None
        self.calls: dict[str, list[tuple[str, str]]] = {}  # response -> (call_id, status)
        self.aside: list[str] = []
        self.over: list[dict[str, Any]] = []
        self.speaking = False
        self.unacknowledged: list[str] = []
        self.timers: set[Any] = set()
        self.running: list[str] = []
        self.due: dict[str, str] = {}  # call id -> turn: completed, so an output is due
        self.number = 0
        self.lost_creates = 0

    def new(self, prefix: str) -> str:
        self.number += 1
        return f"{prefix}{self.number}"

    # -- the application

    def do_say(self, n: int) -> None:
        self.core.say(SendText(f"text {n}"))

    def do_ask(self, n: int) -> None:
        self.core.say(CreateResponse())

    def do_interrupt(self, n: int) -> None:
        self.core.say(Interrupt())

    def do_update(self, n: int) -> None:
        self.core.say(UpdateInstructions(f"be {n}"))

    def do_finish_tool(self, n: int) -> None:
        if self.running:
            call_id = self.running.pop(n % len(self.running))
            outcome = ToolOutcome.succeeded(call_id, "look", "ok", "ok")
            if n % 3 == 0:
                outcome = ToolOutcome.failed(call_id, "look", "crashed")
            self.core.take(self.core.core.tool_finished(outcome, 0.0))
            self.core.take(self.core.core.tool_finished(outcome, 0.0))  # a worker's Down comes after its word

    # -- time

    def do_time_out(self, n: int) -> None:
        due = sorted((key for key in self.timers if key not in ("open", "retry", "refused")), key=str)
        if due:
            key = due[n % len(due)]
            self.timers.discard(key)
            self.core.timer(key)

    # -- the server

    def do_serve(self, n: int) -> None:
        """Read one frame of the client's."""
        if self.read >= len(self.core.wire):
            return
        frame = self.core.wire[self.read]
        self.read += 1
        match frame["type"]:
            case "conversation.item.create":
                if n % 5:
                    self.core.server("conversation.item.added", item=frame["item"])
            case "session.update":
                self.core.server("session.updated", session={"id": "sess_1", **frame["session"]})
            case "response.create":
                self._answer(frame, n)
            case "response.cancel":
                if self.active == frame["response_id"]:
                    self._end("cancelled", n)
                else:
                    self.core.refuse(frame["event_id"], "response_cancel_not_active")

    def _answer(self, frame: dict[str, Any], n: int) -> None:
        if self.active is not None:
            self._acknowledge(frame["event_id"])
            self.core.refuse(frame["event_id"], ACTIVE)
        elif n % 11 == 10:
            self.lost_creates += 1
        elif n % 11 == 9:
            self._acknowledge(frame["event_id"])
            self.core.refuse(frame["event_id"], "server_error")
        elif n % 11 == 8:
            self._acknowledge(frame["event_id"])
            self._announce_end(self.new("r"), "completed", [], frame)
        else:
            self._begin(frame)

    def do_server_s_own_response(self, n: int) -> None:
        if self.active is None and self.vad and not self.speaking:
            self._begin(None)

    def do_delta(self, n: int) -> None:
        live = [response for response in [self.active, *self.aside, "nobody"] if response]
        self.core.text("word", live[n % len(live)])

    def do_call(self, n: int) -> None:
        if self.active is None:
            return
        call_id = self.new("c")
        index = len(self.calls[self.active])
        arguments = ["{}", "{broken", "[]", ""][n % 4]
        self.core.call(call_id, response=self.active, index=index, arguments=arguments)
        self.calls[self.active].append((call_id, "completed"))

    def do_half_a_call(self, n: int) -> None:
        if self.active is None:
            return
        call_id = self.new("c")
        item = {"type": "function_call", "id": f"item_{call_id}", "call_id": call_id, "name": "look"}
        index = len(self.calls[self.active])
        self.core.server("response.output_item.added", response_id=self.active, output_index=index, item=item)
        self.calls[self.active].append((call_id, "incomplete"))

    def do_end(self, n: int) -> None:
        if self.active is not None:
            self._end(["completed", "completed", "completed", "failed", "incomplete", "cancelled"][n % 6], n)

    def do_end_again(self, n: int) -> None:
        if self.over:
            self.core.server("response.done", response=self.over[n % len(self.over)])

    def do_begin_aside(self, n: int) -> None:
        response = self.new("aside")
        self.aside.append(response)
        self.core.server("response.created", response={"id": response, "conversation_id": None})

    def do_end_aside(self, n: int) -> None:
        if self.aside:
            response = self.aside.pop(n % len(self.aside))
            self.core.server("response.done", response={"id": response, "status": "completed"})

    def do_speech(self, n: int) -> None:
        if not self.vad:
            return
        self.speaking = not self.speaking
        if self.speaking:
            self.core.server("input_audio_buffer.speech_started", audio_start_ms=n, item_id="u")
            if self.active is not None and n % 2:
                self._end("cancelled", n)
        else:
            self.core.server("input_audio_buffer.speech_stopped", audio_end_ms=n, item_id="u")

    def do_follow(self, n: int) -> None:
        """A line that is to follow is opened, or says one thing more; the limit may be near."""
        core = self.core
        core.timer("rollover")
        taken, effects = core.core.connected(core.core._rollover.attempt, 0.0)
        if taken:
            core.take(effects)
            hear_next(core, "session.created", session={"id": "sess_2", "model": "m", "expires_at": 99})
        hear_next(core, "session.updated", session={"id": "sess_2"})
        if n % 3 == 0:
            core.timer("rollover_limit")

    def do_lose_the_next_line(self, n: int) -> None:
        self.core.take(self.core.core.next_line_lost(LineClosed(1006), 0.0))

    def do_lose_the_line(self, n: int) -> None:
        self.core.take(self.core.core.line_lost(LineClosed(1006), 0.0))
        if any(isinstance(effect, SwitchLine) for effect in self.core.effects[self.checked :]):
            return
        self._forget()
        if not self.core.of(Finish):
            self.core.timer("retry")
            self.line_began = len(self.core.wire)
            self.core.open()
            self.read = self.line_began + 1

    def _forget(self) -> None:
        """Another line knows nothing of what was on this one."""
        self.active, self.speaking = None, False
        self.calls.clear()
        self.aside.clear()
        self.over.clear()
        self.unacknowledged.clear()

    def _begin(self, create: dict[str, Any] | None) -> None:
        self.active = self.new("r")
        self.calls[self.active] = []
        if create is not None:
            self._acknowledge(create["event_id"])
        self.core.begin(self.active, metadata=self._metadata(create))

    def _end(self, status: str, n: int) -> None:
        response, self.active = self.active, None
        assert response is not None
        calls = self.calls.pop(response)
        self._announce_end(response, status, calls if n % 2 else [], None, calls)

    def _announce_end(
        self,
        response: str,
        status: str,
        listed: list[tuple[str, str]],
        create: dict[str, Any] | None,
        calls: list[tuple[str, str]] | None = None,
    ) -> None:
        if status == "completed":
            self.due |= {call_id: response for call_id, state in calls or listed if state == "completed"}
        output = [
            {
                "type": "function_call",
                "id": f"item_{call_id}",
                "call_id": call_id,
                "name": "look",
                "status": state,
            }
            for call_id, state in listed
        ]
        shape = {"id": response, "conversation_id": "conv_1", "status": status, "output": output}
        shape["metadata"] = self._metadata(create)
        self.over.append(shape)
        self.core.server("response.done", response=shape)

    def _metadata(self, create: dict[str, Any] | None) -> Any:
        return create["response"]["metadata"] if create is not None and self.echoes else None

    def _acknowledge(self, event_id: str) -> None:
        if event_id in self.unacknowledged:
            self.unacknowledged.remove(event_id)

    # -- the laws

    def check(self, known_active: str | None) -> None:
        """Look at what the last step led to. `known_active`: the default response the client knew of before it."""
        for effect in self.core.effects[self.checked :]:
            match effect:
                case StartTimer(key):
                    self.timers.add(key)
                case StopTimer(key):
                    self.timers.discard(key)
                case StartTool(call_id=call_id):
                    self.running.append(call_id)
                case _ if getattr(effect, "kind", "") == "error" and effect.code == "response_timeout":
                    self._acknowledge(effect.event_id)
        for at, effect in enumerate(self.core.effects[self.checked :], self.checked):
            if isinstance(effect, SwitchLine):
                self._forget()
                self.line_began = sum(isinstance(one, Send) for one in self.core.effects[:at])
                self.read = self.line_began
            event = None if isinstance(effect, SendToNext) else getattr(effect, "event", None)
            if event is not None and event.type == "response.create":
                assert self.active is None or self.active != known_active, "a create during a response"
                assert not self.speaking, "a create while the user is speaking"
                if self.echoes or not self.vad:
                    assert not self.unacknowledged, "a create while another is unacknowledged"
                self.unacknowledged.append(event.event_id)
        self.checked = len(self.core.effects)

    def check_all(self, policy: str) -> None:
        laws_of_events(self.core)
        laws_of_tokens(self.core)
        line = self.core.wire[self.line_began :]
        ids = [frame["event_id"] for frame in line]
        assert len(set(ids)) == len(ids), "an event id twice on one line"
        outputs = Counter(
            frame["item"]["call_id"]
            for frame in line
            if frame["type"] == "conversation.item.create" and frame["item"]["type"] == "function_call_output"
        )
        assert not outputs or max(outputs.values()) == 1, "an output twice on one line"
        interrupted = {event.turn_id for event in self.core.seen if event.kind == "interrupted"}
        shown = {event.turn_id for event in self.core.seen if event.kind == "assistant_turn_started"}
        for call_id, turn_id in self.due.items():
            if turn_id not in shown or (policy == "drop" and turn_id in interrupted):
                continue
            assert outputs[call_id] == 1, f"{call_id} of {turn_id} has no output"
        for call_id in outputs:
            assert call_id in self.due, "an output for a call that was not completed"

    def settle(self) -> None:
        """The server reads everything, ends everything and loses nothing; the tools end, and the user stops speaking."""
        for _ in range(200):
            before = (len(self.core.wire), len(self.core.effects))
            if self.speaking:
                self.step("speech", 0)
            while self.read < len(self.core.wire):
                self.step("serve", 1)
            self.step("end", 1)
            while self.running:
                self.step("finish_tool", 1)
            if self.read == len(self.core.wire) and "reply" in self.timers:
                self.timers.discard("reply")
                known = self.active
                self.core.timer("reply")
                self.check(known)
            if (len(self.core.wire), len(self.core.effects)) == before and self.active is None:
                return
        raise AssertionError("it never comes to rest")

    def step(self, name: str, n: int) -> None:
        known = self.active
        getattr(self, f"do_{name}")(n)
        self.check(known)


def hear_next(core: Any, type: str, **fields: Any) -> None:
    """The server says something on the line that is to follow."""
    frame = json.dumps({"type": type, "event_id": "e", **fields}).encode()
    core.take(core.core.receive_next(decode_server_event(frame), 0.0))


def laws_of_events(core: Any) -> None:
    """What every subscriber may rely on, whatever the server does."""
    started: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    interrupted: Counter[str] = Counter()
    calls: dict[tuple[str, str], list[str]] = {}
    for event in core.seen:
        turn_id = getattr(event, "turn_id", None)
        match event.kind:
            case "assistant_turn_started":
                started[turn_id] += 1
            case "assistant_turn_completed":
                assert started[turn_id], "a turn ended that never began"
                ended[turn_id] += 1
            case "interrupted":
                interrupted[turn_id] += 1
            case kind if kind in DELTAS:
                assert started[turn_id], "a delta of a turn that never began"
                assert not interrupted[turn_id], "a delta after interrupted"
                assert not ended[turn_id], "a delta after the end"
            case "tool_call_started":
                calls[turn_id, event.call_id] = []
            case "tool_call_dispatched" | "tool_call_completed" | "tool_call_failed" as kind:
                assert (turn_id, event.call_id) in calls, f"{kind} without tool_call_started"
                calls[turn_id, event.call_id].append(kind.removeprefix("tool_call_"))
    for counter in (started, ended, interrupted):
        assert not counter or max(counter.values()) == 1, counter
    for call, steps in calls.items():
        assert steps in (["failed"], ["dispatched", "completed"], ["dispatched", "failed"]), (call, steps)


def laws_of_tokens(core: Any) -> None:
    """Each command is answered at most once."""
    answers = Counter(effect.token for effect in core.effects if isinstance(effect, Resolve | Reject))
    assert not answers or max(answers.values()) == 1, answers


STEPS = sorted(name.removeprefix("do_") for name in dir(Play) if name.startswith("do_"))
# losing lines and leaving them is rare, else nothing else ever gets far
RARE = ["lose_the_line", "lose_the_next_line", "follow", "follow"]
OFTEN = [step for step in STEPS if step not in RARE] * 4 + ["serve"] * 12 + RARE
PLAYS = st.lists(st.tuples(st.sampled_from(OFTEN), st.integers(0, 120)), max_size=60)
POLICIES = ["drop", "settle", "submit_completed_only", "submit"]  # settle: drop, and tell the model so


def started_play(drive: Any, *, echoes: bool, vad: bool, serial: bool, **config: Any) -> Play:
    if vad:
        config |= {"turn_detection": "server_vad", "modalities": ["audio"]}
    core = drive(runner=SerialToolRunner() if serial else ParallelToolRunner(2), **config)
    # From the first response on it is known that the provider names conversations, and whether it gives metadata back.
    core.say(CreateResponse())
    core.begin("r0", metadata=core.wire[-1]["response"]["metadata"] if echoes else None)
    core.done("r0")
    play = Play(core, echoes=echoes, vad=vad)
    play.read = len(core.wire)
    play.checked = len(core.effects)
    return play


class TestAServerThatKeepsTheRules:
    @pytest.mark.parametrize("policy", POLICIES)
    @pytest.mark.parametrize("vad", [False, True], ids=["push to talk", "vad"])
    @pytest.mark.parametrize("echoes", [True, False], ids=["metadata", "no metadata"])
    @LAWFUL
    @given(steps=PLAYS, serial=st.booleans())
    def test_single_flight_one_output_per_call_and_an_answer_for_who_asks_at_last(
        self, drive, policy, vad, echoes, steps, serial
    ):
        play = started_play(
            drive,
            echoes=echoes,
            vad=vad,
            serial=serial,
            on_interrupt="drop" if policy == "settle" else policy,
            settle_dropped_calls=policy == "settle",
            tool_timeout_s=5.0,
            max_tool_rounds=1000,
        )
        for name, n in steps:
            play.step(name, n)
        play.settle()
        play.check_all(policy)
        assert recall(play.core.log).open_asks == (), "it came to rest, and somebody still waits"
        # Without metadata, a create that the server lost makes one later response be taken for late; never more.
        for attempt in range(1 if echoes else 3):
            play.core.clear()
            play.checked = play.read = play.line_began = 0
            play.step("say", attempt)
            play.settle()
            if "assistant_turn_completed" in play.core.kinds():
                break
        assert "assistant_turn_completed" in play.core.kinds(), "the last text was not answered"
        assert recall(play.core.log).open_asks == ()


IDS = st.sampled_from(["", "r1", "r2", "c1", "item_1", "event_3", "event_item_1"])
WORDS = st.sampled_from(["completed", "cancelled", "failed", "incomplete", "in_progress", "", "odd"])
CODES = st.sampled_from([ACTIVE, "response_cancel_not_active", "session_expired", "insufficient_quota", ""])
ITEMS = st.fixed_dictionaries(
    {"type": st.sampled_from(["function_call", "message", "function_call_output", "odd"])},
    optional={
        "id": IDS,
        "call_id": IDS,
        "name": st.sampled_from(["look", "nobody", ""]),
        "arguments": st.sampled_from(["{}", "{", "[]", '{"what": 1}']),
        "status": WORDS,
        "content": st.lists(
            st.fixed_dictionaries({"type": st.just("output_text")}, optional={"text": st.text(max_size=3)}),
            max_size=2,
        ),
    },
)
RESPONSES = st.fixed_dictionaries(
    {"id": IDS},
    optional={
        "status": WORDS,
        "conversation_id": st.sampled_from([None, "conv_1"]),
        "metadata": st.sampled_from([None, {}, {"client_event_id": "event_3"}, {"client_event_id": 3}]),
        "output": st.lists(ITEMS, max_size=3),
        "status_details": st.sampled_from([None, {}, {"error": {"code": "server_error"}}, {"error": {}}]),
        "usage": st.sampled_from([None, {"total_tokens": 3}]),
    },
)
FIELDS: dict[str, Any] = {
    "response": RESPONSES,
    "item": ITEMS,
    "response_id": IDS,
    "item_id": IDS,
    "call_id": IDS,
    "output_index": st.integers(-1, 3),
    "content_index": st.integers(0, 1),
    "delta": st.sampled_from(["AAAA", "AA==", "word", ""]),
    "text": st.just("text"),
    "transcript": st.just("said"),
    "arguments": st.sampled_from(["{}", "{"]),
    "name": st.sampled_from(["look", "nobody"]),
    "audio_start_ms": st.sampled_from([None, 0, 5]),
    "audio_end_ms": st.sampled_from([None, 0, 5]),
    "error": st.fixed_dictionaries({}, optional={"code": CODES, "event_id": IDS, "message": st.just("m")}),
    "session": st.fixed_dictionaries({}, optional={"id": IDS, "instructions": st.sampled_from(["", "one"])}),
    "rate_limits": st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "name": st.just("n"),
                "limit": st.sampled_from([0, 10, -1]),
                "remaining": st.integers(-1, 10),
                "reset_seconds": st.sampled_from([0, 1.5]),
            },
        ),
        max_size=2,
    ),
}
TYPES = [
    *("session.created", "session.updated", "error", "rate_limits.updated"),
    *("response.created", "response.done", "response.output_item.added", "response.output_item.done"),
    *("response.output_text.delta", "response.output_text.done", "response.output_audio.delta"),
    *("response.output_audio_transcript.delta", "response.output_audio_transcript.done"),
    *("response.function_call_arguments.delta", "response.function_call_arguments.done"),
    *("conversation.item.added", "conversation.item.created", "input_audio_buffer.committed"),
    *("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "odd.unknown"),
    "conversation.item.input_audio_transcription.completed",
    "conversation.item.input_audio_transcription.failed",
]
FRAMES = st.tuples(st.just("frame"), st.sampled_from(TYPES), st.fixed_dictionaries(FIELDS))
COMMANDS = st.sampled_from(
    [
        SendText("hi"),
        CreateResponse(),
        Interrupt(),
        UpdateInstructions("one"),
        GetInstructions(),
        AwaitOpen(),
        SendAudio(b"\0" * 5000),
        CommitAudio(),
        ClearAudio(),
    ]
)
ROLLOVER = ["rollover", "rollover_limit", "rollover_open", "sound"]
TIMERS = st.sampled_from(
    ["reply", "retry", "open", "refused", *ROLLOVER, ("tool", "c1"), ("update", "event_3"), ("odd", 1), "odd"]
)
ANYTHING = st.one_of(
    FRAMES,
    FRAMES,
    st.tuples(st.just("command"), COMMANDS),
    st.tuples(st.just("timer"), TIMERS),
    st.tuples(st.just("tool"), IDS, st.booleans()),
    st.tuples(st.just("lost"), st.sampled_from([1000, 1001, 1006, 4000])),
    st.tuples(st.just("open")),
    st.tuples(st.just("failed"), st.integers(0, 3)),
    st.tuples(st.just("follows"), st.booleans()),
    st.tuples(st.just("next"), st.sampled_from(TYPES), st.fixed_dictionaries(FIELDS)),
    st.tuples(st.just("next lost"), st.sampled_from([1000, 1006, 4000])),
)


def perform(core: Any, step: tuple[Any, ...]) -> None:
    match step:
        case ("frame", kind, fields):
            frame = json.dumps({"type": kind, "event_id": "e", **fields}).encode()
            try:
                event = decode_server_event(frame)
            except ProtocolError as error:
                core.take(core.core.garbled(error, 0.0))
                return
            core.take(core.core.receive(event, 0.0))
        case ("command", command):
            core.say(command)
        case ("timer", key):
            core.timer(key)
        case ("tool", call_id, good):
            outcome = ToolOutcome.succeeded(call_id, "look", "ok", "ok")
            bad = ToolOutcome.failed(call_id, "", "crashed")
            core.take(core.core.tool_finished(outcome if good else bad, 0.0))
        case ("lost", code):
            core.take(core.core.line_lost(LineClosed(code), 0.0))
        case ("open",):
            _, effects = core.core.connected(core.core._keeper._lines.number, 0.0)
            core.take(effects)
        case ("follows", greeted):
            core.timer("rollover")
            taken, effects = core.core.connected(core.core._rollover.attempt, 0.0)
            core.take(effects)
            if greeted and taken:
                hear_next(core, "session.updated", session={"id": "s"})
        case ("next", kind, fields):
            with suppress(ProtocolError):
                hear_next(core, kind, **fields)
        case ("next lost", code):
            core.take(core.core.next_line_lost(LineClosed(code), 0.0))
        case ("failed", attempt):
            core.take(core.core.connect_failed(attempt, OSError("no"), 0.0))


class TestAServerThatKeepsNone:
    @pytest.mark.parametrize("policy", ["drop", "submit_completed_only", "submit"])
    @pytest.mark.parametrize("detection", ["none", "server_vad"])
    @LAWFUL
    @given(steps=st.lists(ANYTHING, max_size=40), opened=st.booleans())
    def test_nothing_raises_and_what_subscribers_and_callers_rely_on_holds(
        self, drive, policy, detection, steps, opened
    ):
        modalities = ["text"] if detection == "none" else ["audio"]
        core = drive(opened=opened, on_interrupt=policy, turn_detection=detection, modalities=modalities)
        for step in steps:
            perform(core, step)
        laws_of_tokens(core)
        started: Counter[str] = Counter()
        interrupted: set[str] = set()
        for event in core.seen:
            if event.kind == "assistant_turn_started":
                started[event.turn_id] += 1
            elif event.kind == "interrupted":
                interrupted.add(event.turn_id)
            elif event.kind in DELTAS:
                assert event.turn_id in started
                if started[event.turn_id] == 1:  # a server may use an id again on another line
                    assert event.turn_id not in interrupted
        recall(core.log)
