"""What a script is made of, and what is refused when it is written."""

from __future__ import annotations

import re

import pytest

from trunkline.gateway.simulator import Say, expect, in_any_order, reply
from trunkline.gateway.simulator.protocol_shapes import CLIENT_EVENT
from trunkline.gateway.simulator.script_steps import CLIENT_EVENTS


@pytest.mark.parametrize(
    ("type", "hint"),
    [
        ("conversation.item.crate", "did you mean 'conversation.item.create'?"),
        ("response.done", "did you mean"),
        ("", "there are conversation.item.create, "),
        ("hello", "there are conversation.item.create, "),
    ],
)
def test_an_event_that_no_client_sends_is_refused_with_a_hint(type, hint):
    with pytest.raises(ValueError, match=re.escape(hint)):
        expect(type)


def test_the_events_are_those_that_the_simulator_takes():
    def complaint(type):
        try:
            CLIENT_EVENT({"type": type}, "")
        except Exception as error:
            return getattr(error, "param", None)
        return None

    # A known event without its fields is refused for those, an unknown one for its type.
    assert [type for type in CLIENT_EVENTS if complaint(type) == "type"] == []
    assert len(CLIENT_EVENTS) == 11
    assert complaint("hello") == "type"


@pytest.mark.parametrize("step", ["hi", {"type": "message"}, None, expect("response.create")])
def test_a_reply_is_made_of_steps(step):
    with pytest.raises(TypeError, match=r"reply\(\) takes steps"):
        reply(step)
    with pytest.raises(TypeError, match=r"reply\(\) takes steps"):
        reply(Say("hi"), step)


def test_a_function_is_a_whole_reply_and_no_step_of_one():
    assert reply(lambda _: []).fn is not None
    with pytest.raises(TypeError, match=r"reply\(\) takes steps"):
        reply(Say("hi"), lambda _: [])


@pytest.mark.parametrize("given", [(), (reply(),), ("response.create",)])
def test_any_order_is_one_of_expectations(given):
    with pytest.raises(TypeError, match=r"in_any_order\(\) takes"):
        in_any_order(*given)


def test_steps_read_as_they_were_written():
    assert str(expect("response.create")) == "expect('response.create')"
    assert (
        str(expect("response.cancel", {"a": 1}, item__role="user"))
        == "expect('response.cancel', a=1, item.role='user')"
    )
    assert str(in_any_order(expect("response.create"))) == "in_any_order(expect('response.create'))"
    assert str(reply(Say("hi"))).startswith("reply(Say(text='hi'")
    assert str(reply()) == "reply()"


def test_a_field_of_the_event_may_be_called_type():
    assert expect("conversation.item.create", item__type="message").wanted.matches(
        {"item": {"type": "message"}}
    )
