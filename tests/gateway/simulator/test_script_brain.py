"""A script over a real wire: a client that follows it, one that does not, and one that comes back."""

from __future__ import annotations

import pickle
import threading

import pytest

from trunkline.gateway.simulator import (
    CallTool,
    Conversation,
    Say,
    ScriptBrain,
    ScriptMismatch,
    expect,
    reply,
)

OPENING = [expect("session.update", session__type="realtime")]
TURN = [
    expect("conversation.item.create", item__role="user", item__content__0__text="hello"),
    expect("response.create"),
    reply(Say("hi")),
]


def failing(script, timeout_s=5.0):
    with pytest.raises(ScriptMismatch) as caught:
        script.verify(timeout_s)
    return caught.value


def test_a_client_that_follows_the_script_is_answered_by_it(simulate, connected):
    script = ScriptBrain([*OPENING, *TURN, *TURN])
    client = connected(simulate(script)).text_session()
    assert [client.ask("hello"), client.ask("hello")] == ["hi", "hi"]
    script.verify()


def test_an_event_that_is_not_expected_fails_with_a_diff(simulate, connected):
    script = ScriptBrain([*OPENING, *TURN])
    client = connected(simulate(script)).text_session()
    client.say("goodbye")
    client.respond()
    error = failing(script)
    assert str(error).splitlines() == [
        "the script was not followed: 1 not as expected, 0 never reached",
        "connection 1, step 2 of 4",
        "  expected  expect('conversation.item.create', item.role='user', item.content.0.text='hello')",
        "  got       conversation.item.create  item.type='message', item.role='user', "
        "item.content.0.type='input_text', item.content.0.text='goodbye'",
        "    item.content.0.text: expected 'hello', got 'goodbye'",
        "  before it",
        "    session.update  session.type='realtime', session.output_modalities=['text']",
    ]


def test_a_step_that_was_never_reached_fails_and_is_named(simulate, connected):
    script = ScriptBrain([*OPENING, *TURN, expect("response.cancel", response_id=...)])
    client = connected(simulate(script)).text_session()
    client.ask("hello")
    error = failing(script, timeout_s=0.01)
    assert error.mismatches == ()
    assert str(error).splitlines()[1:] == [
        "connection 1, step 5 of 5, was never reached: expect('response.cancel', response_id=...)"
    ]


def test_a_response_without_a_reply_fails_at_once_so_that_the_client_does_not_wait(simulate, connected):
    script = ScriptBrain([*OPENING, expect("response.create")])
    client = connected(simulate(script)).text_session()
    (*_, done, _) = client.respond()
    assert done["response"]["status"] == "failed"
    assert done["response"]["status_details"]["error"]["code"] == "script_mismatch"
    assert "a response that has to be answered" in str(failing(script))


def test_verifying_waits_for_what_is_on_its_way(simulate, connected):
    script = ScriptBrain([*OPENING, *TURN])
    client = connected(simulate(script))
    verified = threading.Thread(target=script.verify, args=(30.0,))
    verified.start()
    client.text_session().ask("hello")
    verified.join(30.0)
    assert not verified.is_alive()


def test_verifying_does_not_wait_when_it_has_failed_already(simulate, connected):
    script = ScriptBrain([expect("response.cancel")])
    client = connected(simulate(script)).text_session()
    client.ask("hello")
    error = failing(script, timeout_s=3600.0)
    assert len(error.mismatches) >= 1
    assert script.mismatches == error.mismatches


def test_each_connection_follows_its_own_script(simulate, connected):
    script = ScriptBrain([*OPENING, *TURN], [expect("response.create"), reply(Say("welcome back"))])
    simulator = simulate(script)
    first = connected(simulator).text_session()
    first.ask("hello")
    error = failing(script, timeout_s=0.01)
    assert [one.connection for one in error.unreached] == [2, 2]
    second = connected(simulator)
    second.expect("session.created")
    second.respond()
    script.verify()


def test_a_connection_too_many_is_a_mismatch(simulate, connected):
    script = ScriptBrain(OPENING)
    simulator = simulate(script)
    connected(simulator).text_session()
    script.verify()
    connected(simulator).expect("session.created")
    error = failing(script)
    assert "connection 2, not in the script\n  expected  1 connection\n  got       one more" in str(error)


def test_a_client_that_is_refused_uses_up_no_script(simulate, connected):
    script = ScriptBrain([*OPENING, *TURN])
    simulator = simulate(script, api_key="right")
    refused = connected(simulator)
    refused.expect("error")
    headers = {"Authorization": "Bearer right"}
    connected(simulator, additional_headers=headers).text_session().ask("hello")
    script.verify()


def test_events_and_responses_are_seen_in_the_order_of_the_wire(simulate, connected):
    """A client that sends everything at once is still held to the order."""
    steps = [*OPENING, expect("response.create"), reply(), expect("response.cancel"), *TURN[1:]]
    script = ScriptBrain(*[steps] * 50)
    simulator = simulate(script)
    for _ in range(50):
        client = connected(simulator).text_session()
        for type in ("response.create", "response.cancel", "response.create"):
            client.send(type)
        client.until("rate_limits.updated")
        client.until("rate_limits.updated")
    script.verify()


def test_tools_are_scripted_with_the_outputs_that_they_must_bring(simulate, connected):
    script = ScriptBrain(
        [
            *OPENING,
            expect("response.create"),
            reply(CallTool("add", {"a": 1}, call_id="call_1")),
            expect("conversation.item.create", item__type="function_call_output", item__call_id="call_1"),
            expect("response.create"),
            reply(lambda conversation: [Say(conversation.outputs[0][1]["output"])]),
        ]
    )
    client = connected(simulate(script)).text_session()
    client.respond()
    output = {"type": "function_call_output", "call_id": "call_1", "output": "two"}
    client.send("conversation.item.create", item=output)
    client.until("conversation.item.done")
    assert any(event.get("text") == "two" for event in client.respond())
    script.verify()


def test_steps_that_are_in_no_list_are_refused():
    with pytest.raises(TypeError, match="a script is a list"):
        ScriptBrain(expect("session.update"), expect("response.create"))


@pytest.mark.parametrize("step", [Say("hi"), "session.update", None])
def test_what_is_no_step_of_a_script_is_refused_when_it_is_built(step):
    with pytest.raises(TypeError, match="a script is a list of"):
        ScriptBrain([expect("session.update"), step])


def test_only_client_events_can_be_ignored():
    ScriptBrain([], ignore="input_audio_buffer.append")
    with pytest.raises(ValueError, match=r"no client event has the type 'response\.done'"):
        ScriptBrain([], ignore=["response.done"])


def test_the_mismatch_survives_pickling():
    script = ScriptBrain([expect("session.update")])
    error = failing(script, timeout_s=0)
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert copy.unreached == error.unreached


def test_a_long_list_of_problems_is_cut():
    script = ScriptBrain([expect("session.update")] * 30)
    assert "... and 20 more" in str(failing(script, timeout_s=0))


def test_a_script_serves_without_for_connection_too():
    """A brain of one's own may wrap it and ask it for replies."""
    script = ScriptBrain([reply(Say("hi"))])
    script.for_connection(1)

    assert list(script.reply(Conversation([]))) == [Say("hi")]
    script.verify(0)
