"""Claims about the wire: what they accept, and what they say when they fail."""

from __future__ import annotations

import json

import pytest

from trunkline.gateway.simulator import WireLog


@pytest.fixture
def wire():
    """A text turn, and a second connection."""
    log = WireLog()

    def note(direction, connection, type, **fields):
        log.note_frame(direction, connection, type, json.dumps({"type": type, **fields}))

    note("received", 1, "session.created", session={"id": "sess_1"})
    note("sent", 1, "session.update", session={"type": "realtime"})
    note("sent", 1, "conversation.item.create", item={"role": "user", "type": "message"})
    note("sent", 1, "conversation.item.create", item={"role": "system", "type": "message"})
    note("sent", 1, "response.create")
    for _ in range(30):
        note("received", 1, "response.output_audio.delta", delta="A" * 4000)
    note("received", 1, "response.done", response={"id": "r1", "status": "completed"})
    note("sent", 2, "session.update", session={"type": "realtime"})
    return log


def failing(claim, *arguments):
    with pytest.raises(AssertionError) as caught:
        claim(*arguments)
    return str(caught.value)


def test_claims_that_hold_return_the_events_and_can_be_chained(wire):
    created = wire.sent("response.create")
    assert created.once().times(1).at_least(1).after(wire.sent("conversation.item.create")) is created
    wire.sent("response.cancel").never()
    wire.sent("session.update").times(2)
    wire.sent("response.create").before(wire.received("response.done"))
    wire.sent("conversation.item.create").at_least(1).before(created)


@pytest.mark.parametrize(
    ("type", "claim", "arguments", "says"),
    [
        ("response.cancel", "once", (), "sent response.cancel: expected exactly one, and there is none"),
        ("session.update", "once", (), "sent session.update: expected exactly one, and there are 2"),
        ("response.create", "never", (), "sent response.create: expected none, and there is one"),
        ("response.create", "times", (2,), "sent response.create: expected exactly 2, and there is one"),
        ("response.create", "at_least", (2,), "sent response.create: expected at least 2, and there is one"),
    ],
)
def test_a_claim_about_a_number_says_how_many_there_are(wire, type, claim, arguments, says):
    text = failing(getattr(wire.sent(type), claim), *arguments)
    assert text.startswith(says + "\nthe wire:\n")


def test_a_failing_claim_prints_the_wire_in_order_and_marks_what_it_is_about(wire):
    lines = failing(wire.sent("session.update").once).splitlines()[2:]
    assert [line.split()[0] == ">" for line in lines] == [
        False,
        True,
        False,
        False,
        False,
        False,
        False,
        True,
    ]
    assert [line.lstrip("> ").split()[0] for line in lines] == ["1", "2", "3", "4", "5", "6", "36", "37"]
    assert "1 -> session.update  session.type='realtime'" in lines[1]
    assert "30 x response.output_audio.delta" in lines[5]
    assert lines[6].endswith("1 <- response.done  response.id='r1', response.status='completed'")
    assert "2 -> session.update" in lines[7]


def test_a_marked_frame_is_not_lost_in_a_run(wire):
    text = failing(wire.received("response.output_audio.delta").times, 29)
    assert text.count("\n>") == 30
    assert max(map(len, text.splitlines())) < 200


def test_a_marked_frame_stands_alone_among_others_of_its_kind():
    log = WireLog()
    for delta in "aabaa":
        fields = {"type": "response.output_text.delta", "delta": delta}
        log.note_frame("received", 1, fields["type"], json.dumps(fields))
    text = failing(log.received().with_fields(delta="b").never)
    assert [line.split("<- ")[1] for line in text.splitlines()[2:]] == [
        "2 x response.output_text.delta",
        "response.output_text.delta  delta='b'",
        "2 x response.output_text.delta",
    ]


def test_a_long_wire_is_cut_to_what_is_around_the_marked_frames():
    log = WireLog()
    for number in range(500):
        log.note_frame("sent", 1, f"event.{number}", json.dumps({"type": f"event.{number}"}))
    text = failing(log.sent("event.250").never)
    for kept in ("event.248", "event.252", "(248 more)", "(247 more)"):
        assert kept in text
    assert "event.247" not in text
    newest = log.excerpt()
    assert "event.499" in newest
    assert "event.459" not in newest


def test_an_empty_wire_says_so():
    assert "(nothing)" in failing(WireLog().sent("response.create").once)


def test_order_is_claimed_of_all_of_them(wire):
    items, updates = wire.sent("conversation.item.create"), wire.sent("session.update")
    text = failing(updates.before, items)
    assert (
        "expected sent session.update before sent conversation.item.create, and #37 is not before #3" in text
    )
    assert text.count("\n>") == 4
    failing(items.after, updates)
    updates.on_connection(1).before(items)
    items.after(updates.on_connection(1))


def test_an_order_of_something_that_is_not_there_fails(wire):
    there, missing = wire.sent("response.create"), wire.sent("response.cancel")
    for claim, other in ((there.before, missing), (there.after, missing), (missing.before, there)):
        assert "there is no sent response.cancel" in failing(claim, other)


def test_an_event_is_neither_before_nor_after_itself(wire):
    event = wire.sent("response.create")
    failing(event.before, event)
    failing(event.after, event)


def test_events_are_chosen_by_their_fields(wire):
    items = wire.sent("conversation.item.create")
    items.with_fields(item__role="user").once()
    items.with_fields({"item": {"role": "system"}}).once().after(items.with_fields(item__role="user"))
    text = failing(items.with_fields(item__role="assistant").once)
    assert text.startswith("sent conversation.item.create with item.role='assistant': expected exactly one")


def test_the_first_and_the_last_are_there_or_fail(wire):
    assert wire.sent().first["type"] == "session.update"
    assert wire.sent().last.connection == 2
    with pytest.raises(AssertionError, match="at least 1"):
        _ = wire.sent("response.cancel").first


def test_what_was_found_does_not_change_when_more_comes(wire):
    found = wire.sent("session.update")
    wire.note_frame("sent", 3, "session.update", "{}")
    found.times(2)
    assert "3 -> " not in failing(found.times, 3)


def test_waiting_for_an_event_with_certain_fields(wire):
    found = wire.wait_sent("conversation.item.create", item__role="system")
    assert [event["item"]["role"] for event in found] == ["system"]
    wire.timeout_s = 0.01
    with pytest.raises(
        TimeoutError, match=r"2 x conversation.item.create sent with item.role='system'"
    ) as got:
        wire.wait_sent("conversation.item.create", 2, item__role="system")
    assert "2 -> session.update" in str(got.value)


def test_the_deadline_of_all_waits_is_settable():
    wire = WireLog()
    wire.timeout_s = 0.02
    for wait in (lambda: wire.wait_sent("a"), lambda: wire.wait_received("a"), wire.wait_closed):
        with pytest.raises(TimeoutError, match=r"waited 0\.02 s"):
            wait()
