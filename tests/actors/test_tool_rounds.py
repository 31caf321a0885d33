"""Batches of tools in the core: what an interruption leaves alone, what the log says of it, and when a tool's time begins."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.actors.commands import Interrupt, SendText
from trunkline.actors.effects import AskApproval, Record, StartTimer, StartTool, StopTimer, StopTool
from trunkline.actors.session_log import CallSettled, CallsInterrupted
from trunkline.actors.tool import tool
from trunkline.actors.tool_outcome import ToolOutcome
from trunkline.gateway.errors import LineClosed
from trunkline.gateway.mcp import Mcp

DOCS = Mcp(server_label="docs", server_url="https://docs.example/mcp")


@tool
def look(what: str = "") -> str:
    """Look at something."""
    return what


@tool(background=True)
def dig(what: str = "") -> str:
    """Dig for something, for long."""
    return what


@tool(needs_approval=True, timeout_s=2.0)
def remove(what: str = "") -> str:
    """Remove something."""
    return what


def begin_calls(core: Any, *names: str) -> None:
    core.say(SendText("go"))
    core.begin()
    for index, name in enumerate(names):
        core.call(f"{name}_{index}", index=index, name=name)
    core.done()


def failed(core: Any) -> list[tuple[str, str]]:
    return [(e.call_id, e.code) for e in core.seen if e.kind == "tool_call_failed"]


@pytest.mark.parametrize("policy", ["drop", "submit_completed_only"])
def test_an_interruption_stops_the_others_and_leaves_the_background_alone(drive, policy):
    core = drive(tools=[look, dig], on_interrupt=policy)
    begin_calls(core, "look", "dig", "look")
    core.finish("look_0")
    core.say(Interrupt())
    assert core.stopped() == ["look_2"]
    assert failed(core) == [("look_2", "cancelled")]
    assert core.outputs() == []
    core.finish("dig_1", "gold", "dig")
    said = dict(core.outputs())
    assert said["dig_1"] == "gold"
    assert set(said) == ({"dig_1"} if policy == "drop" else {"look_0", "dig_1", "look_2"})
    assert core.types().count("response.create") == 2


def test_a_batch_that_is_all_background_is_not_even_told_interrupted(drive):
    core = drive(tools=[dig])
    begin_calls(core, "dig")
    core.say(Interrupt())
    assert "interrupted" not in core.kinds()
    core.finish("dig_0", "gold", "dig")
    assert core.outputs() == [("dig_0", "gold")]


@pytest.mark.parametrize("finished_before", [True, False])
def test_the_next_incarnation_knows_what_was_dropped_and_what_was_kept(drive, finished_before):
    core = drive(tools=[look, dig])
    begin_calls(core, "look", "dig", "look", "dig")
    core.finish("look_0")
    if finished_before:
        core.finish("dig_1", "gold", "dig")
    core.say(Interrupt())
    after = drive(tools=[look, dig], log=core.log, restarts=1, at_work={"dig_1", "dig_3"})
    if not finished_before:
        after.finish("dig_1", "gold", "dig")
    after.finish("dig_3", "silver", "dig")
    assert after.outputs() == [("dig_1", "gold"), ("dig_3", "silver")]
    assert after.started() == []


def test_of_an_interrupted_response_the_background_calls_run(drive):
    core = drive(tools=[look, dig])
    core.say(SendText("go"))
    core.begin()
    core.say(Interrupt())
    core.call("look_0", name="look")
    core.call("dig_1", index=1, name="dig")
    core.done()
    assert core.started() == ["dig_1"]
    core.finish("dig_1", "gold", "dig")
    assert core.outputs() == [("dig_1", "gold")]


def test_the_time_of_a_tool_that_needs_approval_begins_when_it_has_it(drive):
    core = drive(tools=[remove], approve_tool=bool, approval_timeout_s=30.0)
    begin_calls(core, "remove")
    key = ("tool", "remove_0")
    assert [(timer.key, timer.delay_s) for timer in core.of(StartTimer) if timer.key == key] == [(key, 32.0)]
    core.clear()
    core.take(core.core.tool_approved("remove_0"))
    assert core.effects == [StartTimer(key, 2.0)]
    core.finish("remove_0", name="remove")
    assert core.of(StopTimer)[0].key == key
    core.clear()
    core.take(core.core.tool_approved("remove_0"))
    core.take(core.core.tool_approved("nobody"))
    assert core.effects == []


# -- remote MCP servers


def request(core: Any, item_id: str = "mcpr_1", response: str = "r1", index: int = 0) -> None:
    item = {
        "type": "mcp_approval_request",
        "id": item_id,
        "server_label": "docs",
        "name": "search",
        "arguments": '{"q": 1}',
    }
    for event in ("added", "done"):
        core.server(f"response.output_item.{event}", response_id=response, output_index=index, item=item)


def decide(core: Any, item_id: str = "mcpr_1", *, ok: bool = True) -> None:
    outcome = (
        ToolOutcome.succeeded(item_id, "search", "null", None)
        if ok
        else ToolOutcome.failed(item_id, "search", "denied")
    )
    core.take(core.core.tool_finished(outcome, core.now))


def test_a_request_goes_to_the_application_when_its_response_is_completed(drive):
    core = drive(mcp_servers=[DOCS])
    core.say(SendText("go"))
    core.begin()
    request(core)
    assert core.of(AskApproval) == []
    core.done()
    assert core.of(AskApproval) == [
        AskApproval(StartTool("r1", "mcpr_1", "search", '{"q": 1}'), "docs"),
    ]
    core.clear()
    decide(core)
    (answer, create) = core.wire
    assert answer["item"]["type"] == "mcp_approval_response"
    assert (answer["item"]["approval_request_id"], answer["item"]["approve"]) == ("mcpr_1", True)
    assert create["type"] == "response.create"
    core.clear()
    decide(core)
    assert core.effects == [], "a second answer is none"


@pytest.mark.parametrize("status", ["cancelled", "failed", "incomplete"])
def test_a_request_of_a_response_that_was_not_completed_is_not_asked(drive, status):
    core = drive(mcp_servers=[DOCS])
    core.say(SendText("go"))
    core.begin()
    request(core)
    core.done(status=status)
    assert core.of(AskApproval) == []
    assert failed(core) == [("mcpr_1", status)]


def test_a_denied_request_has_failed_and_the_model_is_told(drive):
    core = drive(mcp_servers=[DOCS])
    core.say(SendText("go"))
    core.begin()
    request(core)
    request(core, "mcpr_2", index=1)
    core.done()
    core.clear()
    decide(core, ok=False)
    assert core.types() == ["conversation.item.create"], "the other is not decided yet"
    assert core.wire[0]["item"]["reason"] == "The call was not allowed."
    assert failed(core) == [("mcpr_1", "denied")]
    decide(core, "mcpr_2")
    assert core.types() == ["conversation.item.create"] * 2 + ["response.create"]


def test_who_waits_for_an_approved_call_is_still_unanswered_after_a_crash(drive):
    core = drive(mcp_servers=[DOCS])
    core.say(SendText("go"))
    core.begin()
    request(core)
    core.done()
    after = drive(mcp_servers=[DOCS], log=core.log, restarts=1, opened=False)
    after.open()
    assert after.types().count("response.create") == 1
    decide(after)
    assert after.types().count("response.create") == 1, "the request went with its line"


def test_a_line_that_is_lost_ends_the_question_and_the_reply_is_asked_for_anew(drive):
    core = drive(mcp_servers=[DOCS])
    core.say(SendText("go"))
    core.begin()
    request(core)
    core.done()
    core.clear()
    core.take(core.core.line_lost(LineClosed(1006), core.now))
    assert core.of(StopTool) == [StopTool("mcpr_1", "line_lost")]
    assert failed(core) == [("mcpr_1", "incomplete")]


def test_a_call_that_was_allowed_and_lost_before_it_was_made_has_failed(drive):
    core = drive(mcp_servers=[DOCS])
    core.say(SendText("go"))
    core.begin()
    request(core)
    request(core, "mcpr_2", index=1)
    core.done()
    decide(core)
    decide(core, "mcpr_2")
    core.begin("r2")
    made = {"type": "mcp_call", "id": "mcp_9", "server_label": "docs", "name": "search", "arguments": "{}"}
    item = {**made, "approval_request_id": "mcpr_2"}
    core.server("response.output_item.added", response_id="r2", output_index=0, item=item)
    core.server(
        "response.output_item.done", response_id="r2", output_index=0, item={**item, "output": "found"}
    )
    assert failed(core) == []
    core.take(core.core.line_lost(LineClosed(1006), core.now))
    assert failed(core) == [("mcpr_1", "incomplete")], "the other was made"


def test_a_call_whose_approval_is_known_keeps_the_call_id_of_its_request(drive):
    core = drive(mcp_servers=[DOCS])
    core.begin()
    item = {
        "type": "mcp_call",
        "id": "mcp_9",
        "server_label": "docs",
        "name": "search",
        "arguments": "",
        "approval_request_id": "mcpr_1",
    }
    core.server("response.output_item.added", response_id="r1", output_index=0, item=item)
    where = {"item_id": "mcp_9", "output_index": 0}
    core.server("response.mcp_call_arguments.done", response_id="r1", arguments="{}", **where)
    core.server("response.mcp_call.in_progress", **where)
    core.server("response.mcp_call.completed", **where)
    core.server(
        "response.output_item.done", response_id="r1", output_index=0, item={**item, "output": "found"}
    )
    core.done()
    told = [(e.kind, e.call_id, e.item_id) for e in core.seen if e.kind.startswith("tool_call")]
    assert told == [
        ("tool_call_dispatched", "mcpr_1", "mcp_9"),
        ("tool_call_completed", "mcpr_1", "mcp_9"),
    ]
    core.clear()
    core.server("response.mcp_call.in_progress", **where)
    assert core.effects == [], "it is over"


# -- an interruption that a crash cut short


def until_the_first(log: list[Any], kind: type) -> list[Any]:
    """What the log held when its session crashed right behind the first entry of this kind."""
    index = next(index for index, entry in enumerate(log) if isinstance(entry, kind))
    return log[: index + 1]


@pytest.mark.parametrize(
    ("config", "outputs", "creates"),
    [
        ({"on_interrupt": "drop"}, [], 0),
        ({"on_interrupt": "drop", "settle_dropped_calls": True}, ["cancelled", "cancelled"], 0),
        ({"on_interrupt": "submit_completed_only"}, ["real", "cancelled"], 1),
        ({"on_interrupt": "submit"}, ["real", "real"], 1),
    ],
)
def test_an_interruption_that_a_crash_cut_short_is_carried_through(drive, config, outputs, creates):
    core = drive(tools=[look], **config)
    begin_calls(core, "look", "look")
    core.finish("look_0", "real")
    core.say(Interrupt())
    log = until_the_first(core.log, CallsInterrupted)
    after = drive(tools=[look], log=log, restarts=1, at_work={"look_1"}, opened=False, **config)
    assert after.stopped() == ([] if config["on_interrupt"] == "submit" else ["look_1"])
    after.open()
    after.finish("look_1", "real")
    said = [
        output if output == "real" else json.loads(output)["error"]["code"] for _, output in after.outputs()
    ]
    assert (said, after.types().count("response.create")) == (outputs, creates)
    assert after.started() == [], "no tool runs again"
    again = drive(tools=[look], log=log, restarts=2, opened=False, **config)
    again.open()
    assert again.started() == []
    assert again.types().count("response.create") == creates, "who was asked for a reply has not had it yet"


def test_all_tools_are_told_before_anything_is_written_down(drive):
    core = drive(tools=[look], on_interrupt="submit_completed_only")
    begin_calls(core, "look", "look", "look")
    core.clear()
    core.say(Interrupt())
    stops = [index for index, effect in enumerate(core.effects) if isinstance(effect, StopTool)]
    settled = [
        index
        for index, effect in enumerate(core.effects)
        if isinstance(effect, Record) and isinstance(effect.entry, CallSettled)
    ]
    assert len(stops) == len(settled) == 3
    assert max(stops) < min(settled)
