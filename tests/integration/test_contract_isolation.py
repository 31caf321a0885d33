"""Statement 11 of the session contract, over real sockets and with the fault kit: what breaks, breaks alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pykka
import pytest

from trunkline import EventStream, RawFrame, tool
from trunkline.gateway import faults
from trunkline.gateway.faults import FaultPlan
from trunkline.gateway.simulator import CallTool, FunctionBrain, Gate, Hold, Say, Simulator
from trunkline.supervision.testing import crash

PATIENCE_S = 10.0
DELTA = "response.output_text.delta"
AUDIO = "response.output_audio.delta"
CALL = "response.function_call_arguments.done"
WHERE = {"event_id": "e", "response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}


def event(type: str, **fields: Any) -> str:
    return json.dumps({"type": type, **WHERE, **fields})


BAD: dict[str, tuple[str | bytes, str | None, int]] = {
    # what is wrong: (the frame, the type it says it has, how many errors)
    "nothing at all": ("", None, 1),
    "not JSON": ("{nope", None, 1),
    "half a frame": (event(DELTA, delta="x")[:40], None, 1),
    "no object": ('["type"]', None, 1),
    "no type": ('{"event_id": "e"}', None, 1),
    "a number for a type": ('{"type": 3}', None, 1),
    "binary": (b"\x00\x01\xff", None, 1),
    "too deep": ('{"a":' * 5000, None, 1),
    "an unknown type": (event("response.telepathy.delta", delta="x"), "response.telepathy.delta", 0),
    "an unknown field": ('{"type": "conversation.created", "mood": "good"}', "conversation.created", 0),
    "no fields": (json.dumps({"type": DELTA}), DELTA, 0),
    "no response in its end": ('{"type": "response.done"}', "response.done", 0),
    "a response that is a list": ('{"type": "response.done", "response": []}', "response.done", 1),
    "a delta that is a number": (event(DELTA, delta=7), DELTA, 1),
    "a delta that is null": (event(DELTA, delta=None), DELTA, 0),
    "an index that is a text": (event(DELTA, delta="x", content_index="one"), DELTA, 1),
    "bad base64": (event(AUDIO, delta="?no?"), AUDIO, 1),
    "base64 cut short": (event(AUDIO, delta="AAA"), AUDIO, 1),
    "odd bytes of audio": (event(AUDIO, delta="YWJj"), AUDIO, 0),
    "arguments that are an object": (event(CALL, call_id="c", arguments={}), CALL, 1),
    "an error that is a text": ('{"type": "error", "error": "broken"}', "error", 1),
    "an error without an error": ('{"type": "error"}', "error", 1),
    "limits that are nothing": (
        '{"type": "rate_limits.updated", "rate_limits": null}',
        "rate_limits.updated",
        0,
    ),
}

ON_A_DELTA = {
    # the fault: how many errors
    faults.NotJson(): 1,
    faults.InvalidUtf8(): 1,
    faults.MissingField("response_id"): 0,
    faults.MissingField("delta"): 0,
    faults.MissingField("type"): 1,
    faults.WrongType("delta"): 1,
    faults.WrongType("response_id"): 1,
    faults.OversizedFrame(300_000): 0,
    faults.FragmentFlood(50): 0,
    faults.Duplicate(): 0,
    faults.Reorder(): 0,
    faults.Lose(): 0,
}


def rest_of(stream: EventStream[Any]) -> list[Any]:
    return list(stream)


@pytest.fixture
def talk(open_session: Callable[..., Any], servers: list[Any]) -> Callable[..., Any]:
    """`stage = talk(brain, plan=None, **config)`: a session with a simulator."""

    def start(brain: Any, plan: FaultPlan | None = None, **config: Any) -> Any:
        simulator = Simulator(brain, faults=plan).start()
        servers.append(simulator)
        return open_session(simulator, **config)

    return start


class TestStatement11FaultIsolation:
    @pytest.mark.parametrize("name", BAD)
    def test_a_bad_frame_is_one_error_at_most_and_the_raw_frame_and_the_next_is_handled(self, talk, name):
        frame, frame_type, n_errors = BAD[name]
        gate = Gate()
        stage = talk(FunctionBrain(lambda _: [Say(["one ", Hold(gate), "two"])]))
        raw = stage.session.events(raw=True)
        stage.say("go")
        stage.events.until("assistant_text_delta", delta="one ")
        stage.server.inject(frame)
        gate.open()
        stage.events.until("assistant_text", text="one two")
        stage.events.until("assistant_turn_completed", status="completed")
        stage.quiet()
        errors = stage.events.of("error")
        assert len(errors) == n_errors, errors
        assert all(error.recoverable and error.code and error.message for error in errors)
        assert stage.events.kinds() == [
            "assistant_turn_started",
            "assistant_text_delta",
            *["error"] * n_errors,
            "assistant_text_delta",
            "assistant_text",
            "assistant_turn_completed",
        ]
        assert stage.server.accepted == 1, "on the same line"
        stage.session.close().get(timeout=PATIENCE_S)
        data = frame.encode() if isinstance(frame, str) else frame
        shown = [one for one in rest_of(raw) if isinstance(one, RawFrame) and one.data == data]
        assert shown == [RawFrame("received", frame_type, data)]

    def test_frames_are_the_wire_s_own_bytes_in_order_and_before_what_they_lead_to(self, talk):
        stage = talk(FunctionBrain(lambda _: [Say("one two")]))
        raw = stage.session.events(raw=True)
        stage.say("go")
        stage.events.until("assistant_turn_completed")
        stage.quiet()
        stage.session.close().get(timeout=PATIENCE_S)
        seen = rest_of(raw)
        frames = [one for one in seen if isinstance(one, RawFrame)]
        for direction, on_the_wire in (("sent", stage.wire.sent()), ("received", stage.wire.received())):
            shown = [json.loads(one.data) for one in frames if one.direction == direction]
            assert shown, direction
            assert shown == [dict(frame) for frame in on_the_wire][-len(shown) :]
            assert [one.type for one in frames if one.direction == direction] == [
                one["type"] for one in shown
            ]
        kinds = [one.type if isinstance(one, RawFrame) else one.kind for one in seen]
        assert kinds.index(DELTA) + 1 == kinds.index("assistant_text_delta")
        assert kinds.index("response.create") < kinds.index("response.created")
        assert not any(isinstance(one, RawFrame) for one in stage.events.seen), "only for who asked"

    @pytest.mark.parametrize("fault", ON_A_DELTA, ids=str)
    def test_a_fault_in_one_frame_is_one_error_at_most_and_the_reply_is_whole(self, talk, fault):
        plan = FaultPlan(fault.on(DELTA, nth=2))
        stage = talk(FunctionBrain(lambda _: [Say("one two three")]), plan)
        stage.say("go")
        stage.events.until("assistant_text", text="one two three")
        stage.events.until("assistant_turn_completed", status="completed")
        stage.quiet()
        plan.verify()
        errors = stage.events.of("error")
        assert len(errors) == ON_A_DELTA[fault], errors
        assert all(error.recoverable for error in errors)
        assert stage.server.accepted == 1
        stage.say("again")
        stage.events.until("assistant_text", text="one two three")

    def test_a_callback_that_raises_costs_nobody_an_event(self, talk):
        stage = talk(FunctionBrain(lambda _: [Say("one two")]))
        raised: list[str] = []

        def fail(event: Any) -> None:
            raised.append(event.kind)
            raise SystemExit("a callback's own idea")

        stage.session.subscribe(fail).get(timeout=PATIENCE_S)
        stage.say("go")
        stage.events.until("assistant_turn_completed", status="completed")
        stage.quiet()
        assert raised.count("assistant_text_delta") == len(stage.wire.received(DELTA))
        assert stage.events.of("error") == []
        assert stage.server.accepted == 1

    def test_a_callback_that_hangs_holds_up_its_own_session_and_no_other(self, talk):
        stage = talk(FunctionBrain(lambda _: [Say("one two")]))
        other = stage.broker.connect().get(timeout=PATIENCE_S)
        hanging, release = threading.Event(), threading.Event()

        def hang(event: Any) -> None:
            if event.kind == "assistant_text_delta":
                hanging.set()
                release.wait(PATIENCE_S)

        stage.session.subscribe(hang).get(timeout=PATIENCE_S)
        stage.say("go")
        assert hanging.wait(PATIENCE_S)
        events = other.events()
        other.send_text("go").get(timeout=PATIENCE_S)
        while events.get(PATIENCE_S).kind != "assistant_turn_completed":
            pass
        assert "assistant_text" not in stage.events.kinds()
        release.set()
        stage.events.until("assistant_turn_completed", status="completed")
        assert stage.server.accepted == 2

    def test_an_actor_subscriber_that_dies_is_forgotten(self, talk):
        class Fragile(pykka.ThreadingActor):
            def on_receive(self, message: Any) -> None:
                self.stop()

        stage = talk(FunctionBrain(lambda _: [Say("one two")]))
        dead, dying = Fragile.start(), Fragile.start()
        dead.stop(timeout=PATIENCE_S)
        for ref in (dead, dying):
            stage.session.subscribe(ref).get(timeout=PATIENCE_S)
        stage.say("go")
        stage.events.until("assistant_turn_completed", status="completed")
        dying.actor_stopped.wait(PATIENCE_S)
        stage.say("again")
        stage.events.until("assistant_turn_completed", status="completed")
        stage.quiet()
        table = stage.session._entry.subscribers
        assert not {dead, dying} & {sink.subscriber for sink in table._sinks}
        assert stage.server.accepted == 1

    def test_a_tool_that_takes_its_worker_down_has_an_output_and_the_line_stays(self, talk):
        @tool
        def explode() -> str:
            """Explode."""
            raise SystemExit(3)

        script = iter([[CallTool("explode", {})]])
        stage = talk(FunctionBrain(lambda _: next(script, [Say("sorry")])), tools=[explode])
        stage.say("go")
        assert stage.events.until("tool_call_failed").code == "crashed"
        stage.events.until("assistant_text", text="sorry")
        stage.quiet()
        assert len(stage.outputs()) == 1
        assert stage.server.accepted == 1

    def test_a_session_that_crashes_resumes_with_the_same_handle_and_subscribers(self, talk):
        said: list[list[str]] = []

        def brain(conversation: Any) -> list[Any]:
            said.append(list(conversation.user_texts))
            return [Say("heard")]

        stage = talk(FunctionBrain(brain))
        called: list[Any] = []
        stage.session.subscribe(called.append).get(timeout=PATIENCE_S)
        stage.say("one")
        stage.events.until("assistant_turn_completed")
        crash(stage.session.actor_ref, RuntimeError("on purpose"))
        stage.events.until("session_updated", resumed=True, restarts=1)
        stage.say("two")
        stage.events.until("assistant_turn_completed")
        stage.quiet()
        assert stage.server.accepted == 2
        second = [frame["type"] for frame in stage.wire.sent(connection=2)]
        assert second[0] == "session.update"
        assert said[-1] == ["one", "two"], "what was said before was said again"
        kinds = [event.kind for event in called]
        assert kinds.count("session_opened") == 1
        assert kinds.count("assistant_turn_completed") == 2
        assert "session_closed" not in kinds
