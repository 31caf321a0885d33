"""A script while it is followed: what it lets pass, what it notes, and where it goes on."""

from __future__ import annotations

import pytest

from trunkline.gateway.simulator import ABSENT, Conversation, Fail, Say, at_most, expect, in_any_order, reply
from trunkline.gateway.simulator.script_run import ScriptRun

UPDATE = {"type": "session.update", "session": {"type": "realtime"}}
CREATE = {"type": "response.create"}
CANCEL = {"type": "response.cancel", "response_id": "resp_1"}
APPEND = {"type": "input_audio_buffer.append", "audio": "AAAA"}
ASKED = object()


def item(role="user", **fields):
    return {"type": "conversation.item.create", "item": {"role": role, **fields}}


def played(script, *happenings, ignored=()):
    """Let things happen: client events, and `ASKED` for a response that begins."""
    run = ScriptRun(1, script, ignored)
    for happening in happenings:
        if happening is ASKED:
            run.reply(Conversation([]))
        else:
            run.observe(happening)
    return run


TURN = [expect("session.update"), expect("conversation.item.create"), expect("response.create"), reply()]


def test_a_client_that_does_as_the_script_says_leaves_nothing_to_say():
    run = played(TURN, UPDATE, item(), CREATE, ASKED)
    assert run.is_done
    assert run.mismatches == run.unreached() == []


def test_what_did_not_come_is_unreached_step_by_step():
    run = played(TURN, UPDATE, item())
    assert not run.is_done
    assert [str(one) for one in run.unreached()] == [
        "connection 1, step 3 of 4, was never reached: expect('response.create')",
        "connection 1, step 4 of 4, was never reached: reply()",
    ]


def test_an_event_of_another_type_is_a_mismatch_and_the_script_waits_on():
    run = played(TURN, UPDATE, CANCEL, item(), CREATE, ASKED)
    (mismatch,) = run.mismatches
    assert str(mismatch).splitlines() == [
        "connection 1, step 2 of 4",
        "  expected  expect('conversation.item.create')",
        "  got       response.cancel  response_id='resp_1'",
        "  before it",
        "    session.update  session.type='realtime'",
    ]
    assert run.is_done


def test_an_event_with_other_fields_is_a_mismatch_with_a_line_per_field_and_is_taken():
    script = [
        expect("conversation.item.create", item__role="user", item__id=ABSENT, item__status=...),
        expect("response.create"),
    ]
    run = played(script, item("system", id="i1"), CREATE)
    (mismatch,) = run.mismatches
    assert mismatch.differences == (
        "item.role: expected 'user', got 'system'",
        "item.id: expected ABSENT, got 'i1'",
        "item.status: expected ..., it is not there",
    )
    assert all(f"\n    {line}\n" in str(mismatch) for line in mismatch.differences)
    assert run.is_done


def test_what_was_not_expected_stays_in_the_history():
    run = played(TURN, CANCEL, UPDATE, CREATE)
    run.reply(Conversation([]))
    assert run.mismatches[1].before == (
        "response.cancel  response_id='resp_1'  (not expected)",
        "session.update  session.type='realtime'",
    )
    assert run.mismatches[2].before[-1] == "response.create  (not expected)"


def test_the_first_event_has_nothing_before_it():
    (mismatch,) = played(TURN, CANCEL).mismatches
    assert str(mismatch).endswith("before it\n    (nothing)")


def test_an_event_after_the_end_is_a_mismatch():
    (mismatch,) = played([expect("session.update")], UPDATE, CANCEL).mismatches
    assert str(mismatch).startswith(
        "connection 1, after the last of 1 steps\n  expected  nothing more\n  got       response.cancel"
    )


def test_an_event_where_a_response_is_to_begin_is_a_mismatch():
    run = played([expect("response.create"), reply(), expect("response.cancel")], CREATE, CANCEL)
    (mismatch,) = run.mismatches
    assert mismatch.expected == "reply()"
    assert len(run.unreached()) == 2


@pytest.mark.parametrize("script", [[], [expect("session.update")]])
def test_a_response_that_the_script_does_not_answer_fails_and_is_a_mismatch(script):
    run = ScriptRun(1, script)
    (step,) = run.reply(Conversation([]))
    assert isinstance(step, Fail)
    assert step.code == "script_mismatch"
    (mismatch,) = run.mismatches
    assert "response" in mismatch.got
    assert len(run.unreached()) == len(script)


def test_replies_are_given_one_after_another():
    run = ScriptRun(1, [reply(Say("one")), reply(lambda conversation: [Say(conversation.instructions)])])
    assert list(run.reply(Conversation([]))) == [Say("one")]
    assert list(run.reply(Conversation([], instructions="two"))) == [Say("two")]


def test_an_ignored_event_may_come_anywhere():
    run = played(
        [*TURN, expect("response.cancel")],
        *(APPEND, UPDATE, APPEND, APPEND, item(), CREATE, APPEND, ASKED, APPEND, CANCEL, APPEND),
        ignored=["input_audio_buffer.append"],
    )
    assert run.is_done
    assert run.mismatches == []


def test_an_event_that_is_not_ignored_may_not():
    assert len(played(TURN, APPEND, UPDATE, APPEND).mismatches) == 2


def test_an_ignored_event_counts_where_the_script_expects_just_it():
    script = [expect("input_audio_buffer.append", audio="BBBB"), expect("input_audio_buffer.commit")]
    run = played(script, APPEND, {**APPEND, "audio": "BBBB"}, APPEND, ignored=["input_audio_buffer.append"])
    assert run.mismatches == []
    assert [one.expected for one in run.unreached()] == ["expect('input_audio_buffer.commit')"]


BOTH = in_any_order(
    expect("conversation.item.create", item__call_id="a"),
    expect("conversation.item.create", item__call_id="b"),
)


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_any_order_is_any_order(order):
    run = played(
        [BOTH, expect("response.create")], *(item("tool", call_id=call_id) for call_id in order), CREATE
    )
    assert run.is_done
    assert run.mismatches == []


def test_any_order_needs_them_all_before_it_goes_on():
    run = played([BOTH, expect("response.create")], item(call_id="b"), CREATE)
    (mismatch,) = run.mismatches
    assert mismatch.expected == "in_any_order(expect('conversation.item.create', item.call_id='a'))"
    assert [one.expected for one in run.unreached()] == [mismatch.expected, "expect('response.create')"]


def test_any_order_compares_with_what_is_closest():
    group = in_any_order(
        expect("conversation.item.create", item__role="system", item__call_id="a"),
        expect("conversation.item.create", item__role="user", item__call_id="b"),
    )
    run = played([group], item(call_id="c"), item("system", call_id="a"))
    (mismatch,) = run.mismatches
    assert mismatch.differences == ("item.call_id: expected 'b', got 'c'",)
    assert run.is_done


def test_only_the_newest_history_is_shown():
    run = played([expect("response.cancel")] * 50, *[CANCEL] * 49, CREATE)
    (mismatch,) = run.mismatches
    assert len(mismatch.before) == 8


def test_numbers_can_be_bounded():
    script = [expect("conversation.item.truncate", audio_end_ms=at_most(500))]
    truncate = {"type": "conversation.item.truncate", "audio_end_ms": 640}
    (mismatch,) = played(script, truncate).mismatches
    assert mismatch.differences == ("audio_end_ms: expected at_most(500), got 640",)


@pytest.mark.parametrize(
    "event", [{"type": None, "frame": "{"}, {"type": None, "frame": b"\xff"}, {"type": 5}, {}]
)
def test_a_frame_that_is_no_event_is_a_mismatch_like_any_other(event):
    (mismatch,) = played(TURN, event).mismatches
    assert mismatch.got.startswith("not an event: ")
