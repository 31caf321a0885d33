"""What a type checker must know about the test kit: mypy and pyright read this file, and ``assert_type`` fails them. Not run."""

from typing import Any, assert_type

from trunkline import AssistantText, SessionProxy
from trunkline.simulator import Brain, EchoBrain, Say, ScriptBrain, Simulator, WireEvents, expect, reply
from trunkline.testing import EventLog, FaultPlan, FaultProxy, Reset


def watching(session: SessionProxy) -> None:
    """A class gives events of that class, a name gives anything."""
    with EventLog(session, timeout_s=1.0) as log:
        assert_type(log.wait_for(AssistantText, 3.0, text="hi"), AssistantText)
        assert_type(log.wait_for("assistant_text"), Any)
        assert_type(log.all(AssistantText), list[AssistantText])


def scripting() -> Brain:
    """Scripts and other brains go where a brain goes."""
    script = ScriptBrain(
        [
            expect("conversation.item.create", {"item": {"type": "message"}}, item__role="user"),
            reply(Say("hi")),
            reply(lambda conversation: [Say(conversation.last_user_text)]),
        ],
        ignore=["input_audio_buffer.append"],
    )
    with Simulator(script) as simulator, Simulator(EchoBrain(), faults=FaultPlan(Reset().at_frame(1))):
        assert_type(simulator.wire.sent("response.create").once().first.connection, int)
        assert_type(simulator.wire.wait_sent("response.create", item__role="user"), WireEvents)
    with FaultProxy(simulator.url, FaultPlan()) as proxy:
        assert_type(proxy.url, str)
    return script
