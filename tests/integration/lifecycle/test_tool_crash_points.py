"""A batch of tool calls, and a crash of session, worker or supervisor anywhere on its way: one output for each completed call."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from typing import Any

import pykka
import pytest

from trunkline import ToolContext, tool
from trunkline.gateway.simulator import CallTool, FunctionBrain, Say
from trunkline.supervision import kill
from trunkline.supervision.crash_points import CRASH_POINTS, crash_at
from trunkline.supervision.testing import crash

PATIENCE_S = 20.0
CALLS = ("quick", "bad", "slow", "nobody")
SUPERVISOR_S = ("supervisor.before_start_child", "supervisor.after_start_child")
WHERE = [
    *((name, after) for name in CRASH_POINTS if name.startswith("session.") for after in (0, 1, 2, 4, 6)),
    *((name, after) for name in CRASH_POINTS if name.startswith("tool_worker.") for after in (0, 1)),
    # Two calls run, each in a worker that is started.
    *((name, after) for name in SUPERVISOR_S for after in (0, 1)),
]


class Story:
    """What the model is told: calls first, and when all are answered "done". It keeps how often each was answered in the end."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()

    def __call__(self, conversation: Any) -> list[Any]:
        outputs = [item["call_id"] for item in conversation.items if item["type"] == "function_call_output"]
        self.answers = Counter(outputs)
        if set(outputs) >= {f"c_{name}" for name in CALLS}:
            return [Say("done")]
        wanted = [name for name in CALLS if f"c_{name}" not in outputs]
        return [CallTool(name, "[]" if name == "bad" else {}, call_id=f"c_{name}") for name in wanted]


@pytest.fixture
def ran() -> Counter[str]:
    return Counter()


@pytest.fixture
def tools(ran: Counter[str]) -> list[Any]:
    numbers = itertools.count()

    @tool
    def quick() -> str:
        """Return at once."""
        ran["quick"] += 1
        return f"quick {next(numbers)}"

    @tool
    async def slow() -> str:
        """Return a little later."""
        ran["slow"] += 1
        return f"slow {next(numbers)}"

    @tool
    def bad() -> str:
        """Never run: its arguments are no object."""
        ran["bad"] += 1
        return "bad"

    return [quick, slow, bad]


@pytest.mark.parametrize(("point", "after"), WHERE)
def test_each_completed_call_has_one_output_wherever_it_crashes(
    trunk: Any, read: Any, wait_until: Any, tools: list[Any], ran: Counter[str], point: str, after: int
) -> None:
    story = Story()
    line = trunk(FunctionBrain(story), tools=tools)
    session = line.connect()
    reader = read(session.events())
    reader.until("session_opened")
    with crash_at(point, after=after) as crashes:
        accepted = session.send_text("go").exception(timeout=PATIENCE_S) is None
        crashes.wait(PATIENCE_S)
        if not accepted:  # it crashed before
            session.send_text("go").get(timeout=PATIENCE_S)
        while reader.until("assistant_text").text != "done":
            pass
    assert story.answers == Counter({f"c_{name}": 1 for name in CALLS})
    assert max(ran["quick"], ran["slow"]) <= 2, "what ran without an outcome may run again; never more"
    assert ran["bad"] == 0
    for connection in range(1, line.simulator.accepted + 1):
        items = [event["item"] for event in line.wire.sent("conversation.item.create", connection=connection)]
        outputs = Counter(item["call_id"] for item in items if item["type"] == "function_call_output")
        assert set(outputs.values()) <= {1}, f"connection {connection}: {outputs}"
    session.send_text("and now?").get(timeout=PATIENCE_S)
    assert reader.until("assistant_text").text == "done", "the session goes on"
    wait_until(lambda: not line.workers(), line.workers)


def test_a_worker_that_is_killed_is_one_output(trunk: Any, read: Any) -> None:
    at_work = threading.Event()

    @tool
    def slow(ctx: ToolContext) -> str:
        """Wait to be told."""
        at_work.set()
        ctx.wait_cancelled(PATIENCE_S)
        ctx.raise_if_cancelled()
        return "too late"

    def brain(conversation: Any) -> list[Any]:
        outputs = [item for item in conversation.items if item["type"] == "function_call_output"]
        return [Say(outputs[0]["output"])] if outputs else [CallTool("slow", {}, call_id="c1")]

    line = trunk(FunctionBrain(brain), tools=[slow])
    session = line.connect()
    reader = read(session.events())
    session.send_text("go").get(timeout=PATIENCE_S)
    assert at_work.wait(PATIENCE_S)
    (worker,) = [ref for ref in pykka.ActorRegistry.get_all() if ref.actor_class.__name__ == "ToolWorker"]
    kill(worker)
    failed = reader.until("tool_call_failed")
    assert failed.code in reader.until("assistant_text").text
    items = [event["item"] for event in line.wire.sent("conversation.item.create")]
    assert sum(item["type"] == "function_call_output" for item in items) == 1


def test_a_tool_that_ends_while_its_session_restarts_does_not_run_again(
    trunk: Any, read: Any, wait_until: Any
) -> None:
    at_work, go_on, ran = threading.Event(), threading.Event(), itertools.count(1)

    @tool
    def slow() -> str:
        """Wait to be told."""
        at_work.set()
        go_on.wait(PATIENCE_S)
        return f"run {next(ran)}"

    def brain(conversation: Any) -> list[Any]:
        outputs = [item for item in conversation.items if item["type"] == "function_call_output"]
        return [Say(outputs[0]["output"])] if outputs else [CallTool("slow", {}, call_id="c1")]

    def workers() -> list[Any]:
        return [ref for ref in pykka.ActorRegistry.get_all() if ref.actor_class.__name__ == "ToolWorker"]

    def crash_before_the_outcome(event: Any) -> None:
        if event.kind == "session_updated" and not go_on.is_set():
            crash(session.actor_ref, RuntimeError("the next message is the last"))
            go_on.set()
            wait_until(lambda: not workers(), workers)  # its outcome is in the mailbox, behind the crash

    line = trunk(FunctionBrain(brain), tools=[slow])
    session = line.connect()
    reader = read(session.events())
    session.subscribe(crash_before_the_outcome).get(timeout=PATIENCE_S)
    session.send_text("go").get(timeout=PATIENCE_S)
    assert at_work.wait(PATIENCE_S)
    session.update_instructions("anything").exception(timeout=PATIENCE_S)
    assert reader.until("tool_call_completed").result == "run 1"
    assert reader.until("assistant_text").text == "run 1"
    assert next(ran) == 2
