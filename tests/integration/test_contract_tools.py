"""Statements 2, 3 and 7 of the session contract, over real sockets: what becomes of tool calls, whatever happens."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import threading
from typing import Any

import pytest

from trunkline import SerialToolRunner, ServerVad, ToolError, tool
from trunkline.gateway.simulator import CallTool, Fail, Gate, Hold, Incomplete, Say

PATIENCE_S = 10.0


class Door:
    """Where a tool waits until the test lets it through; it knows who is inside."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._open: set[str] = set()
        self.inside: list[str] = []
        self.most_inside = 0
        self.cancelled: list[str] = []

    def enter(self, name: str, ctx: Any) -> None:
        with self._lock:
            self.inside.append(name)
            self.most_inside = max(self.most_inside, len(self.inside))
            self._lock.notify_all()
            self._lock.wait_for(lambda: name in self._open, PATIENCE_S)
            self.inside.remove(name)
            if ctx.cancelled:
                self.cancelled.append(name)
            self._lock.notify_all()

    def open(self, *names: str) -> None:
        with self._lock:
            self._open.update(names)
            self._lock.notify_all()

    def wait_inside(self, *names: str) -> None:
        with self._lock:
            assert self._lock.wait_for(lambda: set(names) <= set(self.inside), PATIENCE_S), self.inside


@pytest.fixture
def door():
    """A door, and a tool `pass_through(name)` that waits there; all are let through at the end."""
    door = Door()
    yield door
    door.open("a", "b", "c", "d")


@pytest.fixture
def pass_through(door):
    @tool
    def pass_through(name: str, ctx) -> str:
        """Go through the door."""
        door.enter(name, ctx)
        return name.upper()

    return pass_through


def calls(*names: str) -> list[CallTool]:
    return [CallTool("pass_through", {"name": name}, call_id=f"call_{name}") for name in names]


hangs = threading.Event()


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def breaks() -> str:
    """Raise."""
    raise ValueError("secret internals")


@tool
def explains() -> str:
    """Raise something for the model."""
    raise ToolError("Try tomorrow.")


@tool
def exits() -> str:
    """Leave the process."""
    sys.exit(3)


@tool
def interrupts() -> str:
    """Act as if somebody pressed Ctrl-C."""
    raise KeyboardInterrupt


@tool
def returns_an_object() -> object:
    """Return what JSON cannot hold."""
    return threading.Lock()


@tool
def returns_too_much() -> str:
    """Return more than any context holds."""
    return "x" * (2 << 20)


@tool(timeout_s=0.1)
def waits() -> str:
    """Hang, deaf to everything."""
    hangs.wait(PATIENCE_S)
    return "too late"


@tool(timeout_s=0.1)
async def waits_asleep() -> str:
    """Hang in an event loop."""
    await asyncio.sleep(PATIENCE_S)
    return "too late"


@tool
async def greets(name: str) -> dict[str, str]:
    """Greet, asynchronously."""
    await asyncio.sleep(0)
    return {"greeting": f"hello {name}"}


@tool
async def breaks_asleep() -> str:
    """Raise in an event loop."""
    await asyncio.sleep(0)
    raise ValueError("secret internals")


@tool
async def cancels_itself() -> str:
    """Be cancelled, though nobody cancelled it."""
    raise asyncio.CancelledError


class Foreign:
    """A tool that is no function: no more than a descriptor and run."""

    descriptor = {"name": "foreign", "description": "Foreign.", "parameters": {"type": "object"}}

    def run(self, arguments: dict[str, Any], ctx: Any) -> Any:
        return sorted(arguments)


TOOLS = [
    add,
    breaks,
    explains,
    exits,
    interrupts,
    returns_an_object,
    returns_too_much,
    waits,
    waits_asleep,
    greets,
    breaks_asleep,
    cancels_itself,
]

GOOD = [
    ("add", {"a": 1, "b": 2}, "3"),
    ("add", '{"a": "1", "b": 2.0}', "3"),
    ("greets", {"name": "Ada"}, '{"greeting":"hello Ada"}'),
]
# name, arguments, the code of the failure, whether a worker was started for it
BAD = [
    ("add", '{"a": 1, "b"', "invalid_arguments", False),
    ("add", "[1, 2]", "invalid_arguments", False),
    ("add", "null", "invalid_arguments", False),
    ("add", '"a"', "invalid_arguments", False),
    ("add", "NaN", "invalid_arguments", False),
    ("add", "", "invalid_arguments", True),
    ("add", {"a": 1}, "invalid_arguments", True),
    ("add", {"a": "one", "b": 2}, "invalid_arguments", True),
    ("add", {"a": 1, "b": 2, "c": 3}, "invalid_arguments", True),
    ("nobody", {}, "unknown_tool", False),
    ("breaks", {}, "raised", True),
    ("explains", {}, "raised", True),
    ("exits", {}, "crashed", True),
    ("interrupts", {}, "crashed", True),
    ("returns_an_object", {}, "unserialisable", True),
    ("returns_too_much", {}, "unserialisable", True),
    ("waits", {}, "timeout", True),
    ("waits_asleep", {}, "timeout", True),
    ("breaks_asleep", {}, "raised", True),
    ("cancels_itself", {}, "raised", True),
]
ONE_BY_ONE = [pytest.param(*row, id=f"{row[0]} {row[1]}") for row in BAD]


@pytest.fixture
def hanging_tools_let_go():
    hangs.clear()
    yield
    hangs.set()


@pytest.mark.usefixtures("hanging_tools_let_go")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
class TestStatement02EveryCompletedCallGetsExactlyOneOutput:
    @pytest.mark.parametrize(("name", "arguments", "output"), GOOD)
    def test_a_result_is_sent_and_one_create_follows(self, simulate, name, arguments, output):
        stage, heard = simulate([CallTool(name, arguments, call_id="c1")], [Say("done")], tools=TOOLS)
        stage.say("go")
        r1 = stage.events.until("assistant_turn_completed").turn_id
        r2 = stage.events.until("assistant_turn_completed").turn_id
        stage.quiet()
        assert stage.types() == ["conversation.item.create", "response.create"] * 2
        assert stage.outputs() == [("c1", output)]
        told = [kind for kind in stage.events.kinds(r1) if kind != "tool_call_args_delta"]
        assert told == [
            "assistant_turn_started",
            "tool_call_started",
            "assistant_turn_completed",
            "tool_call_dispatched",
            "tool_call_completed",
            "tool_batch_submitted",
        ]
        assert stage.events.kinds().index("tool_batch_submitted") < stage.events.kinds().index(
            "assistant_text_delta"
        )
        assert stage.events.of("tool_batch_submitted")[0].call_ids == ("c1",)
        assert r1 != r2
        assert [item["output"] for _, item in heard[1].outputs] == [output]

    @pytest.mark.parametrize(("name", "arguments", "code", "runs"), ONE_BY_ONE)
    def test_whatever_goes_wrong_is_one_output_and_one_create(self, simulate, name, arguments, code, runs):
        stage, _ = simulate([CallTool(name, arguments, call_id="c1")], [Say("done")], tools=TOOLS)
        stage.say("go")
        stage.events.until("assistant_text_delta", delta="done")
        stage.quiet()
        assert stage.types() == ["conversation.item.create", "response.create"] * 2
        ((call_id, output),) = stage.outputs()
        error = json.loads(output)["error"]
        assert (call_id, error["code"]) == ("c1", code)
        assert "secret" not in output
        dispatched = stage.events.of("tool_call_dispatched")
        failed = stage.events.of("tool_call_failed")
        assert [(e.call_id, e.name) for e in dispatched] == ([("c1", name)] if runs else [])
        assert [(e.call_id, e.name, e.code) for e in failed] == [("c1", name, code)]
        assert stage.events.of("tool_call_completed") == []
        assert [e.call_ids for e in stage.events.of("tool_batch_submitted")] == [("c1",)]
        assert stage.events.of("error") == []

    def test_all_of_it_in_one_response_is_one_output_each_in_the_model_s_order(self, simulate):
        rows = [*((name, arguments) for name, arguments, *_ in BAD), *((n, a) for n, a, _ in GOOD)]
        steps = [CallTool(name, arguments, call_id=f"c{i}") for i, (name, arguments) in enumerate(rows)]
        stage, _ = simulate(steps, [Say("done")], tools=[*TOOLS, Foreign()])
        stage.say("go")
        stage.events.until("assistant_text_delta", delta="done")
        stage.quiet()
        wanted = [f"c{i}" for i in range(len(rows))]
        assert [call_id for call_id, _ in stage.outputs()] == wanted
        assert stage.types() == [
            "conversation.item.create",
            "response.create",
            *["conversation.item.create"] * len(rows),
            "response.create",
        ]
        assert [e.call_ids for e in stage.events.of("tool_batch_submitted")] == [tuple(wanted)]
        ended = [*stage.events.of("tool_call_completed"), *stage.events.of("tool_call_failed")]
        assert sorted(e.call_id for e in ended) == sorted(wanted)
        codes = {e.call_id: e.code for e in stage.events.of("tool_call_failed")}
        assert codes == {f"c{i}": code for i, (_, _, code, _) in enumerate(BAD)}

    @pytest.mark.parametrize(
        ("name", "code"),
        [
            ("segfaults", "crashed"),
            ("leaves", "crashed"),
            ("breaks", "raised"),
            ("returns_an_object", "unserialisable"),
        ],
    )
    def test_whatever_a_process_dies_of_is_one_output_and_one_create(self, simulate, killable, name, code):
        broken = getattr(killable, name)
        stage, _ = simulate([CallTool(name, {}, call_id="c1")], [Say("done")], tools=[broken])
        stage.say("go")
        stage.events.until("assistant_text_delta", delta="done")
        stage.quiet()
        assert stage.types() == ["conversation.item.create", "response.create"] * 2
        ((call_id, output),) = stage.outputs()
        assert (call_id, json.loads(output)["error"]["code"]) == ("c1", code)
        assert [(e.call_id, e.code) for e in stage.events.of("tool_call_failed")] == [("c1", code)]
        assert [e.call_id for e in stage.events.of("tool_call_dispatched")] == ["c1"]
        assert [e.call_ids for e in stage.events.of("tool_batch_submitted")] == [("c1",)]
        assert stage.events.of("error") == []

    def test_what_is_not_allowed_is_one_output_and_one_create(self, simulate):
        @tool(needs_approval=True)
        def careful() -> str:
            """Run if that is allowed."""
            return "ran"

        denied, fine = CallTool("careful", {}, call_id="c1"), CallTool("add", {"a": 1, "b": 2}, call_id="c2")
        stage, _ = simulate(
            [denied, fine], [Say("done")], tools=[careful, add], approve_tool=lambda _question: False
        )
        stage.say("go")
        stage.events.until("assistant_text_delta", delta="done")
        stage.quiet()
        assert stage.types().count("response.create") == 2
        assert [call_id for call_id, _ in stage.outputs()] == ["c1", "c2"]
        assert [(e.call_id, e.code) for e in stage.events.of("tool_call_failed")] == [("c1", "denied")]
        assert [e.call_ids for e in stage.events.of("tool_batch_submitted")] == [("c1", "c2")]

    def test_the_session_goes_on_after_a_tool_that_took_its_worker_down(self, simulate):
        stage, _ = simulate([CallTool("exits", {})], [Say("done")], [Say("hello")], tools=TOOLS)
        stage.say("go")
        stage.events.until("assistant_text_delta", delta="done")
        stage.say("still there?")
        stage.events.until("assistant_text_delta", delta="hello")
        assert stage.server.accepted == 1
        assert stage.events.of("error") == []

    @pytest.mark.parametrize("order", list(itertools.permutations("abc")), ids="".join)
    def test_parallel_calls_may_end_in_any_order(self, simulate, door, pass_through, order):
        stage, _ = simulate(calls("a", "b", "c"), [Say("done")], tools=[pass_through])
        stage.say("go")
        door.wait_inside("a", "b", "c")
        for name in order:
            assert stage.outputs() == []
            door.open(name)
            stage.events.until("tool_call_completed", call_id=f"call_{name}", result=name.upper())
        stage.events.until("assistant_text_delta", delta="done")
        stage.quiet()
        assert stage.outputs() == [("call_a", "A"), ("call_b", "B"), ("call_c", "C")]
        assert stage.types().count("response.create") == 2
        assert [e.call_ids for e in stage.events.of("tool_batch_submitted")] == [
            ("call_a", "call_b", "call_c")
        ]

    def test_a_serial_runner_runs_one_at_a_time_in_the_model_s_order(self, simulate, door, pass_through):
        stage, _ = simulate(
            calls("a", "b", "c"), [Say("done")], tools=[pass_through], runner=SerialToolRunner()
        )
        stage.say("go")
        for name in "abc":
            door.wait_inside(name)
            stage.quiet()
            assert stage.events.of("tool_call_dispatched")[-1].call_id == f"call_{name}"
            door.open(name)
        stage.events.until("assistant_text_delta", delta="done")
        assert door.most_inside == 1
        assert stage.outputs() == [("call_a", "A"), ("call_b", "B"), ("call_c", "C")]

    def test_a_call_that_only_response_done_lists_runs_too(self, puppeteer):
        stage, puppet = puppeteer(tools=TOOLS)
        stage.say("go")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        call = {"type": "function_call", "id": "i1", "call_id": "c1", "name": "add", "status": "completed"}
        puppet.done("r1", create=create, output=[{**call, "arguments": '{"a": 1, "b": 2}'}])
        puppet.take("response.create")
        stage.quiet()
        assert stage.outputs() == [("c1", "3")]
        assert stage.events.kinds("r1") == [
            "assistant_turn_started",
            "tool_call_started",
            "assistant_turn_completed",
            "tool_call_dispatched",
            "tool_call_completed",
            "tool_batch_submitted",
        ]

    def test_a_call_of_a_response_that_no_created_announced_runs_too(self, puppeteer):
        stage, puppet = puppeteer(tools=TOOLS)
        stage.say("go")
        create = puppet.take("response.create")
        call = {"type": "function_call", "id": "i1", "call_id": "c1", "name": "add", "status": "completed"}
        puppet.done("r1", create=create, output=[{**call, "arguments": '{"a": 1, "b": 2}'}])
        puppet.take("response.create")
        stage.quiet()
        assert stage.outputs() == [("c1", "3")]

    def test_items_without_a_status_are_as_complete_as_their_response(self, puppeteer):
        stage, puppet = puppeteer(tools=TOOLS)
        stage.say("go")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        call = {**puppet.call("r1", "c1", "add", '{"a": 1, "b": 2}'), "status": None}
        puppet.done("r1", create=create, output=[call])
        puppet.take("response.create")
        stage.quiet()
        assert stage.outputs() == [("c1", "3")]

    def test_a_call_id_that_two_responses_use_at_once_is_answered_once(self, puppeteer, door, pass_through):
        stage, puppet = puppeteer(tools=[pass_through])
        stage.say("go")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        puppet.call("r1", "c1", "pass_through", '{"name": "a"}')
        puppet.done("r1", create=create)
        door.wait_inside("a")
        puppet.begin("r2")
        puppet.call("r2", "c1", "pass_through", '{"name": "b"}')
        puppet.done("r2")
        stage.quiet()
        door.open("a", "b")
        stage.events.until("tool_batch_submitted", turn_id="r1")
        stage.quiet()
        assert stage.outputs() == [("c1", "A")]

    def test_outputs_that_are_due_at_once_go_before_the_create_that_waited_for_the_response(self, puppeteer):
        stage, puppet = puppeteer(tools=TOOLS)
        stage.say("go")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        stage.say("and more")
        puppet.call("r1", "c1", "nobody")
        puppet.done("r1", create=create)
        stage.quiet()
        assert stage.types() == [
            "conversation.item.create",
            "response.create",
            "conversation.item.create",
            "conversation.item.create",
            "response.create",
        ]


class TestStatement03IncompleteCallsNeverRun:
    @pytest.fixture
    def ran(self):
        return []

    @pytest.fixture
    def record(self, ran):
        @tool
        def record(what: str) -> str:
            """Record that it ran."""
            ran.append(what)
            return what

        return record

    @pytest.mark.parametrize(
        ("last", "status"),
        [
            (Incomplete(), "incomplete"),
            (Incomplete("content_filter"), "incomplete"),
            (Fail("server_error", "broken"), "failed"),
        ],
        ids=["max tokens", "content filter", "failed"],
    )
    def test_of_a_response_that_ended_badly(self, simulate, record, ran, last, status):
        begun = CallTool("record", {"what": "a"}, call_id="c0")
        stage, _ = simulate([begun, last], tools=[record])
        stage.say("go")
        completed = stage.events.until("assistant_turn_completed")
        assert completed.status == status
        stage.quiet()
        assert ran == []
        assert [(e.call_id, e.code) for e in stage.events.of("tool_call_failed")] == [("c0", status)]
        assert stage.types() == ["conversation.item.create", "response.create"]

    def test_of_a_response_that_was_cut_in_the_middle_of_the_arguments(self, simulate, record, ran):
        gate = Gate()
        half = CallTool("record", ['{"what"', Hold(gate), ': "a"}'], call_id="c1")
        whole = CallTool("record", {"what": "a"}, call_id="c0")
        stage, _ = simulate([whole, half], tools=[record])
        stage.say("go")
        gate.wait_reached(10)
        stage.events.until("tool_call_args_delta", call_id="c1")
        stage.interrupt()
        assert stage.events.until("assistant_turn_completed").status == "cancelled"
        stage.quiet()
        assert ran == []
        assert [(e.call_id, e.code) for e in stage.events.of("tool_call_failed")] == [
            ("c0", "cancelled"),
            ("c1", "cancelled"),
        ]
        assert stage.types() == ["conversation.item.create", "response.create", "response.cancel"]

    def test_of_a_response_that_ran_out_of_tokens_in_the_arguments(self, simulate, record, ran):
        long = CallTool("record", {"what": "a b c d e f"}, call_id="c0")
        stage, _ = simulate([long], tools=[record], max_response_output_tokens=3)
        stage.say("go")
        assert stage.events.until("assistant_turn_completed").status == "incomplete"
        stage.quiet()
        assert ran == []
        assert [(e.call_id, e.code) for e in stage.events.of("tool_call_failed")] == [("c0", "incomplete")]
        assert stage.types().count("response.create") == 1

    def test_a_call_item_that_is_incomplete_in_a_completed_response(self, puppeteer, record, ran):
        stage, puppet = puppeteer(tools=[record])
        stage.say("go")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        whole = puppet.call("r1", "c0", "record", '{"what": "whole"}')
        puppet.call("r1", "c1", "record", '{"what": "half"}', index=1)
        half = {"type": "function_call", "id": "item_c1", "call_id": "c1", "name": "record"}
        half = {**half, "status": "incomplete", "arguments": '{"what": "half"}'}
        puppet.done("r1", create=create, output=[whole, half])
        puppet.take("response.create")
        stage.quiet()
        assert ran == ["whole"]
        assert stage.outputs() == [("c0", "whole")]
        assert [(e.call_id, e.code) for e in stage.events.of("tool_call_failed")] == [("c1", "incomplete")]
        assert stage.types().count("response.create") == 2

    @pytest.mark.parametrize("status", ["cancelled", "incomplete", "failed"])
    @pytest.mark.parametrize("options", [{}, {"background": True}], ids=["", "in the background"])
    def test_each_started_call_of_a_response_that_was_not_completed_has_failed(
        self, puppeteer, ran, status, options
    ):
        @tool(**options)
        def record(what: str) -> str:
            """Record that it ran."""
            ran.append(what)
            return what

        stage, puppet = puppeteer(tools=[record])
        stage.say("go")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        items = [puppet.call("r1", f"c{n}", "record", '{"what": "x"}', index=n) for n in range(2)]
        puppet.done("r1", status, create=create, output=items)
        completed = stage.events.until("assistant_turn_completed", turn_id="r1")
        stage.quiet()
        assert completed.status == status
        assert [(e.call_id, e.code) for e in stage.events.of("tool_call_failed")] == [
            ("c0", status),
            ("c1", status),
        ]
        assert (ran, stage.outputs(), stage.events.of("tool_call_dispatched")) == ([], [], [])
        assert stage.types() == ["conversation.item.create", "response.create"]

    def test_a_bad_end_does_not_keep_the_next_text_from_its_answer(self, simulate, record):
        stage, _ = simulate(
            [CallTool("record", {"what": "a"}), Fail("server_error", "broken")], [Say("ok")], tools=[record]
        )
        stage.say("go")
        stage.events.until("assistant_turn_completed", status="failed")
        stage.say("again")
        stage.events.until("assistant_turn_completed", status="completed")
        assert stage.types() == ["conversation.item.create", "response.create"] * 2


class TestStatement07Policies:
    def start(self, simulate, door, pass_through, **config):
        """`a` has finished, `b` is inside the door, `c` waits for its turn."""
        stage, heard = simulate(
            calls("a", "b", "c"),
            [Say("done")],
            tools=[pass_through],
            runner=OneInsideOneDone(),
            **config,
        )
        stage.say("go")
        door.wait_inside("a")
        door.open("a")
        stage.events.until("tool_call_completed", call_id="call_a")
        door.wait_inside("b")
        stage.interrupt()
        return stage, heard

    def code(self, output: str) -> str:
        return str(json.loads(output)["error"]["code"])

    def test_drop_sends_nothing_for_the_calls_and_asks_for_nothing(self, simulate, door, pass_through):
        stage, _ = self.start(simulate, door, pass_through, on_interrupt="drop")
        door.open("b", "c")
        stage.quiet()
        assert stage.types() == ["conversation.item.create", "response.create"]
        assert stage.events.of("tool_batch_submitted") == []
        assert [(e.call_id, e.code) for e in stage.events.of("tool_call_failed")] == [
            ("call_b", "cancelled"),
            ("call_c", "cancelled"),
        ]
        assert [e.reason for e in stage.events.of("interrupted")] == ["manual"]
        stage.say("next")
        stage.events.until("assistant_text_delta", delta="done")

    def test_drop_that_settles_sends_one_cancelled_output_per_call(self, simulate, door, pass_through):
        stage, _ = self.start(simulate, door, pass_through, on_interrupt="drop", settle_dropped_calls=True)
        door.open("b", "c")
        stage.quiet()
        assert [(call, self.code(output)) for call, output in stage.outputs()] == [
            ("call_a", "cancelled"),
            ("call_b", "cancelled"),
            ("call_c", "cancelled"),
        ]
        assert stage.types().count("response.create") == 1
        assert all(len(output) < 200 for _, output in stage.outputs())

    @pytest.mark.parametrize("spelling", ["submit_completed_only", "submit-completed-only"])
    def test_submit_completed_only_tells_what_had_finished_and_cancels_the_rest(
        self, simulate, door, pass_through, spelling
    ):
        stage, _ = self.start(simulate, door, pass_through, on_interrupt=spelling)
        door.open("b", "c")
        stage.events.until("assistant_text_delta", delta="done")
        stage.quiet()
        (a, real), (b, cancelled), (c, never) = stage.outputs()
        assert (a, b, c) == ("call_a", "call_b", "call_c")
        assert (real, self.code(cancelled), self.code(never)) == ("A", "cancelled", "cancelled")
        assert stage.types().count("response.create") == 2
        assert len(stage.events.of("tool_batch_submitted")) == 1

    def test_submit_sends_all_real_outputs_when_they_are_there(self, simulate, door, pass_through):
        stage, _ = self.start(simulate, door, pass_through, on_interrupt="submit")
        stage.quiet()
        assert stage.outputs() == []
        door.open("b", "c")
        stage.events.until("assistant_text_delta", delta="done")
        stage.quiet()
        assert stage.outputs() == [("call_a", "A"), ("call_b", "B"), ("call_c", "C")]
        assert stage.types().count("response.create") == 2
        assert stage.events.of("tool_call_failed") == []
        assert door.cancelled == []

    @pytest.mark.parametrize("policy", ["drop", "submit_completed_only"])
    def test_a_running_tool_sees_its_token(self, simulate, policy):
        running, saw = threading.Event(), threading.Event()

        @tool
        def waits_to_be_told(ctx) -> str:
            """Wait."""
            running.set()
            if ctx.wait_cancelled(PATIENCE_S):
                saw.set()
            return "told"

        stage, _ = simulate([CallTool("waits_to_be_told", {})], tools=[waits_to_be_told], on_interrupt=policy)
        stage.say("go")
        assert running.wait(PATIENCE_S)
        stage.interrupt()
        assert saw.wait(PATIENCE_S)

    @pytest.mark.parametrize(
        ("policy", "settles", "outputs", "creates"),
        [
            ("drop", False, [], 1),
            ("drop", True, ["cancelled", "cancelled"], 1),
            ("submit_completed_only", False, ["cancelled", "cancelled"], 2),
            ("submit", False, ["3", "7"], 2),
        ],
    )
    def test_calls_that_were_completed_before_the_server_heard_of_the_interruption(
        self, puppeteer, policy, settles, outputs, creates
    ):
        stage, puppet = puppeteer(tools=TOOLS, on_interrupt=policy, settle_dropped_calls=settles)
        stage.say("go")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        puppet.call("r1", "c0", "add", '{"a": 1, "b": 2}')
        stage.quiet()
        stage.interrupt()
        puppet.call("r1", "c1", "add", '{"a": 3, "b": 4}', index=1)
        puppet.done("r1", create=create)
        if creates == 2:
            puppet.take("response.create")
        stage.quiet()
        said = [output if policy == "submit" else self.code(output) for _, output in stage.outputs()]
        assert said == outputs
        assert [e.turn_id for e in stage.events.of("interrupted")] == ["r1"]
        assert [e.status for e in stage.events.of("assistant_turn_completed")] == ["cancelled"]
        assert stage.types().count("response.create") == creates

    @pytest.mark.parametrize("policy", ["submit", "submit_completed_only"])
    def test_no_create_while_the_user_is_speaking_and_the_vad_s_response_covers_the_outputs(
        self, puppeteer, voice, door, pass_through, policy
    ):
        stage, puppet = puppeteer(tools=[pass_through], on_interrupt=policy, **voice)
        stage.say("go")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        puppet.call("r1", "c0", "pass_through", '{"name": "a"}')
        puppet.done("r1", create=create)
        door.wait_inside("a")
        puppet.send("input_audio_buffer.speech_started", audio_start_ms=100, item_id="u1")
        stage.events.until("interrupted", turn_id="r1", reason="barge_in")
        door.open("a")
        stage.events.until("tool_batch_submitted")
        stage.quiet()
        assert stage.types().count("response.create") == 1
        puppet.send("input_audio_buffer.speech_stopped", audio_end_ms=900, item_id="u1")
        stage.quiet()
        assert stage.types().count("response.create") == 1, "the server replies by itself"
        puppet.begin("vad")
        puppet.done("vad")
        stage.quiet()
        assert stage.types().count("response.create") == 1, "its response saw the outputs"
        assert len(stage.outputs()) == 1

    @pytest.mark.parametrize(
        ("policy", "settles", "outputs"),
        [
            ("drop", False, []),
            ("drop", True, ["cancelled"]),
            ("submit_completed_only", False, ["cancelled"]),
            ("submit", False, ["A"]),
        ],
    )
    @pytest.mark.parametrize("replies", [True, False], ids=["the VAD replies", "the VAD does not reply"])
    def test_what_each_policy_sends_after_the_user_s_voice_and_that_it_asks_for_nothing_meanwhile(
        self, puppeteer, voice, door, pass_through, policy, settles, outputs, replies
    ):
        vad = {"turn_detection": ServerVad(create_response=replies)}
        stage, puppet = puppeteer(
            tools=[pass_through], on_interrupt=policy, settle_dropped_calls=settles, **{**voice, **vad}
        )
        stage.say("go")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        puppet.call("r1", "c0", "pass_through", '{"name": "a"}')
        puppet.done("r1", create=create)
        door.wait_inside("a")
        puppet.send("input_audio_buffer.speech_started", audio_start_ms=100, item_id="u1")
        stage.events.until("interrupted", turn_id="r1", reason="barge_in")
        door.open("a")
        if outputs:
            stage.events.until("tool_batch_submitted", turn_id="r1")
        stage.quiet()
        said = [output if policy == "submit" else self.code(output) for _, output in stage.outputs()]
        assert said == outputs
        assert stage.types().count("response.create") == 1, "the user is speaking"
        puppet.send("input_audio_buffer.speech_stopped", audio_end_ms=900, item_id="u1")
        if replies:
            puppet.begin("vad")
            puppet.done("vad")
        asked_for = bool(outputs) and not settles and not replies
        if asked_for:
            puppet.take("response.create")
        stage.quiet()
        assert stage.types().count("response.create") == (2 if asked_for else 1)

    def test_where_speech_does_not_interrupt_the_outputs_wait_for_its_end_too(
        self, puppeteer, voice, door, pass_through
    ):
        vad = {"turn_detection": ServerVad(interrupt_response=False)}
        stage, puppet = puppeteer(tools=[pass_through], **{**voice, **vad})
        stage.say("go")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        puppet.call("r1", "c0", "pass_through", '{"name": "a"}')
        puppet.done("r1", create=create)
        door.wait_inside("a")
        puppet.send("input_audio_buffer.speech_started", audio_start_ms=100, item_id="u1")
        stage.events.until("user_speech_started")
        door.open("a")
        stage.events.until("tool_batch_submitted", turn_id="r1")
        stage.quiet()
        assert stage.outputs() == [("c0", "A")]
        assert stage.types().count("response.create") == 1
        puppet.send("input_audio_buffer.speech_stopped", audio_end_ms=900, item_id="u1")
        puppet.begin("vad")
        puppet.done("vad")
        stage.quiet()
        assert stage.types().count("response.create") == 1, "the server's own response saw the outputs"
        assert stage.events.of("interrupted") == []

    @pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
    def test_what_counts_is_who_had_finished_when_it_was_interrupted(
        self, simulate, door, pass_through, before
    ):
        stage, _ = simulate(
            calls("a", "b"), [Say("done")], tools=[pass_through], on_interrupt="submit_completed_only"
        )
        stage.say("go")
        door.wait_inside("a", "b")
        if before:
            door.open("a")
            stage.events.until("tool_call_completed", call_id="call_a")
        stage.interrupt()
        door.open("a", "b")  # neither looks at its token: what they still bring is too late
        stage.events.until("assistant_text_delta", delta="done")
        stage.quiet()
        (_, first), (_, second) = stage.outputs()
        assert (first if before else self.code(first), self.code(second)) == (
            "A" if before else "cancelled",
            "cancelled",
        )
        completed = [e.call_id for e in stage.events.of("tool_call_completed")]
        assert completed == (["call_a"] if before else [])

    def test_a_response_that_begins_while_the_user_speaks_does_not_give_the_floor_away(
        self, puppeteer, voice
    ):
        stage, puppet = puppeteer(**voice)
        stage.say("a")
        create = puppet.take("response.create")
        puppet.send("input_audio_buffer.speech_started", audio_start_ms=100, item_id="u1")
        puppet.begin("r1", create)
        puppet.done("r1", "cancelled", create=create)
        stage.say("b")
        stage.quiet()
        assert stage.types().count("response.create") == 1

    def test_a_second_utterance_stops_the_clock_of_the_first_one_s_reply(self, puppeteer, voice):
        stage, puppet = puppeteer(response_timeout_s=0.5, **voice)
        puppet.send("input_audio_buffer.speech_started", audio_start_ms=100, item_id="u1")
        stage.quiet()
        stage.say("b")
        puppet.send("input_audio_buffer.speech_stopped", audio_end_ms=200, item_id="u1")
        puppet.send("input_audio_buffer.speech_started", audio_start_ms=300, item_id="u2")
        stage.quiet()
        threading.Event().wait(1.0)  # twice the timeout: it must not run out
        stage.quiet()
        assert "response.create" not in stage.types()
        puppet.send("input_audio_buffer.speech_stopped", audio_end_ms=400, item_id="u2")
        puppet.take("response.create")  # the server made no response of its own: b is asked for after all
        assert stage.events.of("error") == []

    def test_a_text_after_an_utterance_that_the_server_did_not_answer_is_answered(self, puppeteer, voice):
        stage, puppet = puppeteer(response_timeout_s=0.1, **voice)
        puppet.send("input_audio_buffer.speech_started", audio_start_ms=100, item_id="u1")
        puppet.send("input_audio_buffer.speech_stopped", audio_end_ms=200, item_id="u1")
        stage.quiet()
        stage.say("b")
        puppet.take("response.create")
        assert stage.events.of("error") == []


class OneInsideOneDone:
    """A runner of one call at a time that never starts the third: it is still waiting when the batch is interrupted."""

    def admit(self, waiting, running):
        return () if running else tuple(waiting[:1])
