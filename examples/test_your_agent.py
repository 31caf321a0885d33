"""Tests of a voice agent, to copy: against a scripted server, and against a line that goes wrong.

pip install 'trunkline[simulator]' pytest, then: pytest test_your_agent.py
"""

import pytest

from trunkline import Broker, Config, OpenAIGateway, ToolError, tool
from trunkline.simulator import CallTool, Gate, Hold, Say, ScriptBrain, expect, reply
from trunkline.testing import Close, Drip, Duplicate, NotJson, Reset, Stall

# Each test: no actor, thread or future is left behind.
pytestmark = pytest.mark.usefixtures("trunkline_leaks")


# -- the agent: put yours here


@tool
def lookup_order(order_id: str) -> dict[str, str]:
    """Look up the status of an order.

    Args:
        order_id: the number on the receipt.
    """
    if order_id != "4711":
        raise ToolError(f"there is no order {order_id}")
    return {"status": "shipped"}


CONFIG = Config(
    modalities=["text"],
    instructions="You answer the phone of a small shop.",
    tools=[lookup_order],
    turn_detection="none",
    input_audio_transcription=False,
)


@pytest.fixture
def call(trunkline_simulator, trunkline_events):
    """Call the agent: `session, events = call(simulator)`."""
    brokers = []

    def start(simulator):
        gateway = OpenAIGateway("no-key-needed", base_url=simulator.url)
        brokers.append(Broker.start("gpt-realtime-2", gateway=gateway, config=CONFIG))
        session = brokers[-1].connect().get(timeout=10)
        return session, trunkline_events(session)

    yield start
    for broker in brokers:
        broker.stop().get(timeout=10)


# -- what the agent sends, and what it does with the answers

OPENING = [expect("session.update", session__tools=[{"name": "lookup_order"}])]


def asked(text):
    """The user says something, and the agent asks for an answer."""
    said = expect("conversation.item.create", item__role="user", item__content__0__text=text)
    return [said, expect("response.create")]


def tool_output(call_id, output):
    """The agent brings the output of a tool, and asks for an answer."""
    brought = expect("conversation.item.create", item__call_id=call_id, item__output=output)
    return [brought, expect("response.create")]


@pytest.mark.parametrize(
    ("order_id", "is_right"),
    [
        ("4711", lambda output: "shipped" in output),
        ("0815", lambda output: "there is no order 0815" in output),
    ],
)
def test_the_agent_looks_an_order_up(trunkline_simulator, call, order_id, is_right):
    script = [
        *OPENING,
        *asked("Where is my order?"),
        reply(CallTool("lookup_order", {"order_id": order_id}, call_id="call_1")),
        *tool_output("call_1", is_right),
        reply(Say("I have looked it up.")),
    ]
    simulator = trunkline_simulator(ScriptBrain(script))
    session, events = call(simulator)
    session.send_text("Where is my order?").get(timeout=5)
    assert events.wait_for("assistant_text").text == "I have looked it up."
    assert events.kinds().count("tool_batch_submitted") == 1
    simulator.wire.sent("conversation.item.create").with_fields(item__type="function_call_output").once()


def test_the_agent_stops_when_the_user_interrupts(trunkline_simulator, call):
    gate = Gate()  # the server's answer stops here until the test lets it go on
    script = [
        *OPENING,
        *asked("Tell me a story."),
        reply(Say(["Once ", "upon ", Hold(gate), "a time"])),
        expect("response.cancel", response_id=...),
        *asked("A shorter one."),
        reply(Say("The end.")),
    ]
    session, events = call(trunkline_simulator(ScriptBrain(script)))
    session.send_text("Tell me a story.").get(timeout=5)
    gate.wait_reached()
    session.interrupt().get(timeout=5)
    assert events.wait_for("assistant_turn_completed").status == "cancelled"
    session.send_text("A shorter one.").get(timeout=5)
    assert events.wait_for("assistant_text", text="The end.")
    events.never("error")


# -- a line that goes wrong


@pytest.mark.parametrize(
    "fault",
    [
        Reset().on("response.created"),
        Close(1011, "internal error").on("response.output_text.delta"),
        NotJson().on("response.output_text.delta", nth=2),
        Duplicate().on("response.done"),
        Stall(0.3).on("response.created"),
        Drip(bytes_per_write=50).at_frame(1),
    ],
    ids=repr,
)
def test_the_user_is_answered_whatever_the_line_does(trunkline_simulator, trunkline_faults, call, fault):
    simulator = trunkline_simulator(faults=trunkline_faults(fault))
    session, events = call(simulator)
    session.send_text("What's the capital of Canada?").get(timeout=5)
    events.wait_for("assistant_turn_completed", 15.0, status="completed")
    events.never("session_closed")


def test_after_a_reset_the_agent_tells_the_new_line_what_was_said(
    trunkline_simulator, trunkline_faults, call
):
    script = ScriptBrain(
        # The line dies in it.
        [*OPENING, *asked("My name is Ada."), reply(Say("Hello Ada, nice to meet you."))],
        [*OPENING, *asked("My name is Ada."), reply(Say("Hello Ada."))],
    )
    faults = trunkline_faults(Reset().on("response.output_text.delta", nth=3))
    session, events = call(trunkline_simulator(script, faults=faults))
    session.send_text("My name is Ada.").get(timeout=5)
    assert events.wait_for("error").code == "connection_lost"
    assert events.wait_for("session_updated", 15.0, resumed=True)
    assert events.wait_for("assistant_text", 15.0).text == "Hello Ada."
