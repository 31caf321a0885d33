"""The next incarnation goes on with the tools of the last: nothing runs twice that has its output, nothing is left unanswered."""

from __future__ import annotations

import pytest

from trunkline.actors.commands import GetHistory, Interrupt, SendText
from trunkline.actors.effects import StartTool
from trunkline.actors.session_log import ReplyAsked, ReplySettled
from trunkline.gateway.errors import LineClosed

CALLS = ("c0", "c1", "c2")


def begin(drive, **config):
    """A turn with three calls at work, asked for by the user."""
    core = drive(**config)
    core.say(SendText("hi"))
    core.begin("r1")
    for index, call in enumerate(CALLS):
        core.call(call, index=index)
    core.done("r1")
    return core


def next_one(drive, core, *, at_work=(), opened=True, **config):
    second = drive(opened=False, log=core.log, restarts=1, at_work=at_work, **config)
    if opened:
        second.open()
    return second


def test_calls_without_output_run_again_and_those_with_one_do_not(drive):
    core = begin(drive)
    core.finish("c1", "ONE")
    second = next_one(drive, core)
    assert second.started() == ["c0", "c2"]
    second.finish("c2", "TWO")
    second.finish("c0", "ZERO")
    assert second.outputs() == [("c0", "ZERO"), ("c1", "ONE"), ("c2", "TWO")]


def test_a_tool_that_runs_again_is_told_so(drive):
    core = begin(drive)
    assert [effect.may_have_run for effect in core.of(StartTool)] == [False] * 3
    second = next_one(drive, core)
    assert [effect.may_have_run for effect in second.of(StartTool)] == [True] * 3


def test_tools_that_outlived_the_crash_are_not_started_again(drive):
    second = next_one(drive, begin(drive), at_work=CALLS)
    assert second.started() == []
    for call in CALLS:
        second.finish(call, call.upper())
    assert second.outputs() == [("c0", "C0"), ("c1", "C1"), ("c2", "C2")]


def test_a_new_line_hears_the_calls_with_their_outputs(drive):
    second = next_one(drive, begin(drive), at_work=CALLS)
    second.clear()
    for call in CALLS:
        second.finish(call)
    items = [f["item"]["type"] for f in second.wire if f["type"] == "conversation.item.create"]
    assert items == ["function_call", "function_call_output"] * 3


def test_the_user_is_answered_once_when_the_outputs_are_there_and_not_before(drive):
    second = next_one(drive, begin(drive), at_work=CALLS)
    assert "response.create" not in second.types()
    for call in CALLS:
        second.finish(call)
    assert second.types().count("response.create") == 1
    second.begin("r2")
    second.server("response.output_text.done", response_id="r2", item_id="i9", text="done")
    second.done("r2")
    third = next_one(drive, second)
    assert "response.create" not in third.types()
    assert third.started() == []


def test_outputs_that_were_all_there_are_submitted_at_once(drive):
    core = begin(drive)
    lost = core.log[:]
    for call in CALLS:
        core.finish(call)
    settled = [entry for entry in core.log if type(entry).__name__ == "CallSettled"]
    core.log[:] = [*lost, *settled]  # it crashed before it could submit them
    second = next_one(drive, core)
    assert second.started() == []
    assert [call for call, _ in second.outputs()] == list(CALLS)
    assert second.types().count("response.create") == 1


def test_outputs_that_come_while_the_line_is_down_go_with_the_next_one(drive):
    second = next_one(drive, begin(drive), at_work=CALLS, opened=False)
    for call in CALLS:
        second.finish(call, call.upper())
    assert second.outputs() == []
    second.open()
    assert second.outputs() == [("c0", "C0"), ("c1", "C1"), ("c2", "C2")]
    assert second.types().count("response.create") == 1


def test_calls_that_were_dropped_stay_dropped(drive):
    core = begin(drive, on_interrupt="drop")
    core.say(Interrupt())
    second = next_one(drive, core)
    assert (second.started(), second.outputs()) == ([], [])
    assert "response.create" not in second.types()


@pytest.mark.parametrize("policy", ["submit", "submit_completed_only"])
def test_an_interrupted_batch_is_submitted_by_its_policy_and_by_nobody_twice(drive, policy):
    core = begin(drive, on_interrupt=policy)
    core.finish("c0", "ZERO")
    core.say(Interrupt())
    second = next_one(drive, core, on_interrupt=policy)
    for call in second.started():
        second.finish(call, "LATE")
    outputs = [*core.outputs(), *(one for one in second.outputs() if one not in core.outputs())]
    assert [call for call, _ in outputs] == list(CALLS)
    assert ("c0", "ZERO") in outputs


def test_calls_of_a_turn_that_was_interrupted_before_they_began_are_not_interrupted_again(drive):
    core = drive(on_interrupt="submit")
    core.say(SendText("hi"))
    core.begin("r1")
    core.say(Interrupt())
    core.call("c0")
    core.done("r1")  # the model had completed it before it heard of the interruption
    second = next_one(drive, core, at_work=["c0"], on_interrupt="submit")
    second.say(Interrupt())
    second.finish("c0", "ZERO")
    assert "interrupted" not in second.kinds()
    assert second.outputs() == [("c0", "ZERO")]


def test_a_tool_that_is_not_offered_any_more_is_answered_all_the_same(drive):
    core = begin(drive)
    second = next_one(drive, core, tools=[])
    assert [call for call, _ in second.outputs()] == list(CALLS)
    assert all("unknown_tool" in output for _, output in second.outputs())


def test_every_crash_point_of_a_turn_with_tools_ends_with_each_output_once_and_one_answer(drive):
    """Cut the log after every entry: whatever was written, the next incarnation brings the turn to its end."""
    whole = begin(drive)
    for call in CALLS:
        whole.finish(call)
    whole.begin("r2")
    whole.server("response.output_text.done", response_id="r2", item_id="i9", text="done")
    whole.done("r2")
    entries = whole.log[:]
    said = next(n for n, entry in enumerate(entries) if type(entry).__name__ == "ItemRecorded")
    for cut in range(said + 1, len(entries) + 1):
        core = drive(opened=False, log=entries[:cut], restarts=1)
        core.open()
        for call in core.started():
            core.finish(call)
        calls = [call for call, _ in core.outputs()]
        assert len(calls) == len(set(calls)), cut
        n_asked = core.types().count("response.create")
        settled = {ask for entry in entries[:cut] if isinstance(entry, ReplySettled) for ask in entry.ask_ids}
        asks = {entry.ask_id for entry in entries[:cut] if isinstance(entry, ReplyAsked)}
        assert n_asked == (0 if asks <= settled else 1), cut


def two_at_once(drive, **config):
    """Two messages, of which the second came while the first one's answer was made: so the answer follows both."""
    core = drive(**config)
    core.say(SendText("one"))
    one = core.wire[0]["item"]
    core.server("conversation.item.done", item=one)
    core.begin("r1")
    core.say(SendText("two"))
    two = core.wire[-1]["item"]
    core.server("conversation.item.done", item=two, previous_item_id=one["id"])
    content = [{"type": "output_text", "text": "ONE"}]
    item = {"id": "a1", "type": "message", "role": "assistant", "status": "completed", "content": content}
    core.server("response.output_item.added", response_id="r1", output_index=0, item={**item, "content": []})
    core.server("response.output_text.done", response_id="r1", item_id="a1", text="ONE")
    core.server("conversation.item.done", item=item, previous_item_id=two["id"])
    core.done("r1")
    assert core.types().count("response.create") == 2  # the second's is on its way
    core.clear()
    return core


def told(core):
    return [f["item"]["id"] for f in core.wire if f["type"] == "conversation.item.create"]


def test_an_answer_to_one_message_is_none_to_the_next_that_it_follows_when_the_line_is_lost(drive):
    core = two_at_once(drive, tools=[])
    core.take(core.core.line_lost(LineClosed(1006), 1.0))
    core.timer("retry")
    core.open()
    assert told(core)[-1] == "a1"
    assert core.types().count("response.create") == 1


def test_nor_when_the_session_crashes(drive):
    second = next_one(drive, two_at_once(drive, tools=[]), tools=[])
    assert told(second)[-1] == "a1"
    assert second.types().count("response.create") == 1


def test_calls_that_are_told_again_stand_with_their_outputs_where_the_line_has_them(drive):
    core = begin(drive)
    for call in CALLS:
        made = {"type": "function_call", "id": f"item_{call}", "call_id": call, "name": "look"}
        core.server("conversation.item.done", item={**made, "arguments": "{}", "status": "completed"})
    second = next_one(drive, core, at_work=CALLS)
    asked = next(f["item"]["id"] for f in second.wire if f["type"] == "conversation.item.create")
    second.clear()
    item = {"id": "a1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    second.begin("r2")
    second.server("conversation.item.added", item=item, previous_item_id=asked)
    for call in CALLS:
        second.finish(call)
    before = "a1"
    told = [f["item"] for f in second.wire if f["type"] == "conversation.item.create"]
    for shown in told:
        second.server("conversation.item.added", item=shown, previous_item_id=before)
        before = shown["id"]
    content = [{"type": "output_text", "text": "well"}]
    second.server(
        "conversation.item.done",
        item={**item, "status": "completed", "content": content},
        previous_item_id=asked,
    )
    second.done("r2")
    ids = [one.item_id for one in second.resolved[second.say(GetHistory())]]
    assert ids == [asked, "a1", *(shown["id"] for shown in told)]
    third = drive(opened=False, log=second.log, restarts=2)
    assert [one.item_id for one in third.resolved[third.say(GetHistory())]] == ids
