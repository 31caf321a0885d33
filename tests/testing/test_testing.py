"""The door of the test kit: what it shows, and that its probes work on a real session."""

from __future__ import annotations

import trunkline.testing
from trunkline import AssistantText, Broker, Config, OpenAIGateway
from trunkline.gateway import faults
from trunkline.gateway.simulator import Say, ScriptBrain, Simulator, expect, reply
from trunkline.supervision import testing as supervised
from trunkline.testing import EventLog, leak_check

TEXT = Config(modalities=["text"], turn_detection="none", input_audio_transcription=False)


def test_every_name_is_there_and_means_one_thing():
    names = trunkline.testing.__all__
    assert sorted(set(names)) == sorted(names), "two parts of the kit use one name"
    assert {"EventLog", *faults.__all__, *supervised.__all__} <= set(names)
    assert all(getattr(trunkline.testing, name) for name in names)
    assert trunkline.testing.__doc__


def test_a_session_from_one_end_to_the_other():
    script = ScriptBrain(
        [
            expect("session.update"),
            expect("conversation.item.create", item__role="user"),
            expect("response.create"),
            reply(Say("hi there")),
        ]
    )
    with leak_check(), Simulator(script) as simulator:
        gateway = OpenAIGateway("k", base_url=simulator.url)
        with Broker.start("m", gateway=gateway, config=TEXT) as broker:
            session = broker.connect().get(timeout=10)
            with EventLog(session, timeout_s=10.0) as log:
                session.send_text("hello").get(timeout=10)
                assert log.wait_for(AssistantText).text == "hi there"
                log.wait_for("assistant_turn_completed", status="completed")
                log.never("error")
                assert log.kinds()[0] == "session_opened"
                assert log.kinds().count("assistant_text_delta") == 2
                session.close().get(timeout=10)
                assert log.wait_for("session_closed").reason == "client"
        script.verify()
        items = simulator.wire.sent("conversation.item.create")
        items.once().before(simulator.wire.sent("response.create")).after(
            simulator.wire.sent("session.update")
        )
