"""Statement 8 of the session contract, over real sockets: a session outlives its line, at whatever point it is lost."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pytest

from trunkline import OpenAIGateway, tool
from trunkline.gateway import LineLimits
from trunkline.gateway.simulator import CallTool, Gate, Hold, Say, Speak, encode_words
from trunkline.testing import (
    Close,
    CutFrame,
    HalfOpen,
    HttpStatus,
    Refuse,
    Reset,
    SessionExpired,
)

TEXT_TURN = (
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
)
TOOL_TURN = (*TEXT_TURN, "response.function_call_arguments.delta", "response.function_call_arguments.done")
SPOKEN_TURN = (
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.completed",
    "response.created",
    "response.output_item.added",
    "response.output_audio.delta",
    "response.output_audio_transcript.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.output_item.done",
    "response.done",
)


def impatient(url: str) -> OpenAIGateway:
    """Return a gateway that takes silence for the end after a fraction of a second."""
    return OpenAIGateway("test", base_url=url, limits=LineLimits(ping_interval_s=0.2, pong_timeout_s=0.3))


def points(types: tuple[str, ...], most: int) -> list[Any]:
    return [pytest.param(type, nth, id=f"{type}-{nth}") for type in types for nth in range(1, most + 1)]


def items(stage: Any, connection: int) -> list[dict[str, Any]]:
    return [frame["item"] for frame in stage.wire.sent("conversation.item.create", connection)]


def n_connections(stage: Any) -> int:
    return max(handshake.connection for handshake in stage.wire.handshakes())


def fired(stage: Any) -> bool:
    return bool(stage.plan.fired)


class TestStatement08AtEveryPointOfATurn:
    """Loss instead of each server event: one answer per message, nothing lost, nothing doubled."""

    @pytest.mark.parametrize(("type", "nth"), points(TEXT_TURN, 2))
    def test_a_text_turn_is_answered_once(self, rig: Any, answers: Any, type: str, nth: int) -> None:
        stage = rig("text", Reset().on(type, nth))
        stage.say("one")
        answers(stage).until("heard one")
        stage.say("two")
        answers(stage).until("heard one two")
        answers(stage).quiet()
        answers(stage).check()
        last = n_connections(stage)
        texts = [item["content"][0]["text"] for item in items(stage, last) if item["type"] == "message"]
        assert [text for text in texts if text in ("one", "two")] == ["one", "two"]
        final = [event.text for event in stage.events.of("assistant_text")]
        interrupted = {event.turn_id for event in stage.events.of("interrupted")}
        whole = [e.text for e in stage.events.of("assistant_text") if e.turn_id not in interrupted]
        assert whole == ["heard one", "heard one two"], final
        if fired(stage):
            assert len(stage.wire.sent("response.create", last)) <= 2

    @pytest.mark.parametrize(("type", "nth"), points(TOOL_TURN, 3))
    def test_a_tool_turn_has_each_output_once_and_one_answer(
        self, rig: Any, answers: Any, type: str, nth: int
    ) -> None:
        stage = rig("tool", Reset().on(type, nth))
        stage.say("one")
        answers(stage).until("heard one")
        stage.say("two")
        answers(stage).until("heard one two")
        answers(stage).quiet()
        answers(stage).check()
        last = items(stage, n_connections(stage))
        outputs = [item["call_id"] for item in last if item["type"] == "function_call_output"]
        calls = [item["call_id"] for item in last if item["type"] == "function_call"]
        assert len(outputs) == len(set(outputs))
        assert len(calls) == len(set(calls))
        assert set(calls) <= set(outputs)
        if fired(stage):
            history = stage.session.history().get(timeout=10)
            assert [item.text for item in history if item.role == "user"] == ["one", "two"]
            assert len({item.item_id for item in history}) == len(history)
        interrupted = {event.turn_id for event in stage.events.of("interrupted")}
        whole = [e.text for e in stage.events.of("assistant_text") if e.turn_id not in interrupted]
        assert [text for text in whole if text != "wait"] == ["heard one", "heard one two"]

    @pytest.mark.parametrize(("type", "nth"), points(SPOKEN_TURN, 1))
    def test_a_spoken_turn_is_answered_if_its_words_were_heard(
        self, rig: Any, answers: Any, kinds: Any, type: str, nth: int
    ) -> None:
        stage = rig("spoken", Reset().on(type, nth))
        kinds["spoken"].say(stage, "one")
        stage.wire.wait_sent("session.update", 2, 10)
        stage.events.until("session_updated", resumed=True)
        transcribed = [event.text for event in stage.events.of("user_transcript") if event.text]
        if transcribed:  # as far as it was understood before the loss
            answers(stage).until("heard one")
        kinds["spoken"].say(stage, "two")
        answers(stage).until(" ".join(["heard", *transcribed, "two"]))
        answers(stage).quiet()
        answers(stage).check()
        assert len(stage.wire.sent("response.create", n_connections(stage))) <= 1
        assert stage.events.of("error")[0].code == "connection_lost"


class TestStatement08WhatTheNewLineHears:
    def test_the_effective_configuration_comes_first_then_history_in_order_then_one_create(
        self, rig: Any, answers: Any
    ) -> None:
        stage = rig("tool", Reset().on("response.created", 4), instructions="old")
        stage.session.update_instructions("new").get(timeout=10)
        stage.say("one")
        answers(stage).until("heard one")
        stage.say("two")
        answers(stage).until("heard one two")
        answers(stage).quiet()
        first, *rest = stage.wire.sent(None, 2)
        assert first["type"] == "session.update"
        assert first["session"]["type"] == "realtime"
        assert first["session"]["instructions"] == "new"
        assert [tool["name"] for tool in first["session"]["tools"]] == ["look"]
        told = items(stage, 2)
        shown = [item.get("role") or item["type"] for item in told]
        one = ["user", "assistant", "function_call", "function_call_output", "assistant"]
        assert shown == [*one, "user", "assistant", "function_call", "function_call_output"]
        assert [
            part["type"] for item in told if item.get("role") == "assistant" for part in item["content"]
        ] == ["output_text"] * 3
        assert [frame["type"] for frame in rest].index("response.create") == len(told)
        assert [frame["type"] for frame in rest].count("response.create") == 1

    def test_the_key_is_resolved_anew(self, rig: Any, answers: Any) -> None:
        keys = iter(["first", "second", "third"])

        def made(url: str) -> OpenAIGateway:
            return OpenAIGateway(lambda: next(keys), base_url=url)

        stage = rig("text", Reset().on("response.created"), gateway=made)
        stage.say("one")
        answers(stage).until("heard one")
        shown = [handshake.headers["authorization"] for handshake in stage.wire.handshakes()]
        assert shown == ["Bearer first", "Bearer second"]

    def test_what_is_said_while_the_line_is_down_is_answered_when_it_is_back(
        self, rig: Any, answers: Any
    ) -> None:
        stage = rig("text")
        stage.server.refuse_status = 503
        stage.server.drop_all()
        stage.events.until("error", code="connection_lost")
        for word in ("one", "two", "three"):
            stage.say(word)
        stage.server.refuse_status = None
        answers(stage).until("heard one two three")
        answers(stage).quiet()
        assert len(stage.wire.sent("response.create")) == 1

    def test_a_tool_that_ends_while_the_line_is_down_is_told_to_the_next_line(
        self, rig: Any, answers: Any
    ) -> None:
        at_work, go_on = threading.Event(), threading.Event()

        @tool
        def look(what: str) -> str:
            """Look at something."""
            at_work.set()
            go_on.wait(10)
            return f"{what} seen"

        stage = rig("tool", Refuse().at_connection(2), tools=[look])
        stage.say("one")
        assert at_work.wait(10)
        stage.server.drop_all()
        stage.events.until("error", code="connection_lost")
        go_on.set()
        answers(stage).until("heard one")
        told = [(item["type"], item.get("call_id")) for item in items(stage, n_connections(stage))]
        pairs = [(kind, call) for kind, call in told if call]
        assert [kind for kind, _ in pairs] == ["function_call", "function_call_output"]
        assert len({call for _, call in pairs}) == 1

    def test_a_provider_that_takes_no_calls_from_a_client_hears_of_them_in_words(self, rig: Any) -> None:
        at_work, go_on = threading.Event(), threading.Event()

        @tool
        def look(what: str) -> str:
            """Look at something."""
            at_work.set()
            go_on.wait(10)
            return f"{what} seen"

        def brain(conversation: Any) -> list[Any]:
            told = any(item.get("role") == "system" for item in conversation.items)
            return [Say("done")] if told else [CallTool("look", {"what": "it"})]

        def made(url: str) -> OpenAIGateway:
            return OpenAIGateway("test", base_url=url, takes_calls=False)

        stage = rig("tool", tools=[look], brain=brain, gateway=made, seam="transport")
        stage.say("one")
        assert at_work.wait(10)
        stage.server.drop_all()
        stage.events.until("session_updated", resumed=True)
        go_on.set()
        stage.events.until("assistant_text", text="done")
        stage.events.until("assistant_turn_completed")
        stage.server.drop_all()
        stage.events.until("session_updated", resumed=True)
        stage.wire.wait_sent("conversation.item.create", 6)
        words = 'The tool look was called with {"what":"it"} and returned: it seen'
        for connection in (2, 3):
            texts = [item["content"][0]["text"] for item in items(stage, connection)]
            assert texts == ["one", words, "done"][:connection]
        kinds = [item.type for item in stage.session.history().get(timeout=10)]
        assert kinds == ["message", "function_call", "function_call_output", "message"]

    def test_an_item_that_the_new_line_refuses_ends_nothing_and_is_told_once(self, puppeteer: Any) -> None:
        stage, puppet = puppeteer()
        first = stage.say("one")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        puppet.done("r1")
        stage.quiet()
        puppet.wire.wait_sent("session.update", 1, 10)
        puppet.lose()
        again = puppet.wire.wait_sent("conversation.item.create", 2, 10)[-1]
        assert again["item"]["id"] == first
        puppet.refuse(again["event_id"], "invalid_value")
        told = stage.events.until("error", code="invalid_value")
        assert (told.item_id, told.recoverable) == (first, True)
        second = stage.say("two")
        history = stage.session.history().get(timeout=10)
        assert [item.item_id for item in history] == [second]


class TestStatement08WhatWasHeardOfAnAnswerThatWasCutOff:
    """The line is lost before the provider could say what was left of an answer that the user had interrupted."""

    UNREAD = Reset().on("response.cancel")  # it never hears of the interruption
    UNDONE = Reset().on("conversation.item.done", 2)  # it has cancelled, and the item is not done yet

    def begin(self, rig: Any, fault: Any, **config: Any) -> tuple[Any, str]:
        """The model has said three words of an answer, of which two and a bit were heard."""
        answers = iter([["one ", "two ", "three ", Hold(Gate()), "four"]])

        def brain(conversation: Any) -> list[Any]:
            return [Speak(next(answers, "well"), word_ms=200)]

        stage = rig("spoken", fault, brain=brain, **config)
        stage.say("count")
        *_, last = (stage.events.until("assistant_audio_delta") for _ in range(3))  # behind the word it says
        item_id: str = last.item_id
        stage.session.report_playback(item_id, 450).get(timeout=10)
        return stage, item_id

    def check(self, stage: Any, answers: Any, item_id: str, reason: str) -> None:
        stage.events.until("session_updated", resumed=True)
        stage.say("and now?")
        answers(stage).until("well")
        told = [(item["id"], item["role"], item["content"][0]) for item in items(stage, 2)]
        assert told[1] == (item_id, "assistant", {"type": "output_text", "text": "one two"}), told
        assert [role for _, role, _ in told] == ["user", "assistant", "user"]
        history = stage.session.history().get(timeout=10)
        assert [item.text for item in history if item.text] == ["count", "one two", "and now?", "well"]
        (cut,) = [item for item in history if item.item_id == item_id]
        assert (cut.truncated, cut.audio_end_ms, cut.status) == (True, 450, "incomplete")
        interrupted = [(event.reason, event.audio_end_ms) for event in stage.events.of("interrupted")]
        assert interrupted == [(reason, 450)]
        ended = [event.status for event in stage.events.of("assistant_turn_completed")]
        assert ended == ["cancelled", "completed"]
        answers(stage).check()

    @pytest.mark.parametrize("fault", [UNREAD, UNDONE], ids=["unread", "undone"])
    def test_the_new_line_hears_what_the_user_heard(self, rig: Any, answers: Any, fault: Any) -> None:
        stage, item_id = self.begin(rig, fault, turn_detection="none")
        stage.interrupt()
        self.check(stage, answers, item_id, "manual")

    def test_and_when_the_user_s_voice_cut_it_off(self, rig: Any, answers: Any) -> None:
        stage, item_id = self.begin(rig, self.UNDONE)
        spoken = np.concatenate([np.zeros(24_000, np.int16), encode_words("stop")])
        stage.session.send_audio(spoken).get(timeout=10)
        self.check(stage, answers, item_id, "barge_in")


RETRIED = [
    *(
        pytest.param(Close(code).on("response.created"), id=f"close {code}")
        for code in (1001, 1011, 1012, 1013)
    ),
    pytest.param(Reset().on("response.created"), id="reset"),
    pytest.param(CutFrame().on("response.created"), id="cut frame"),
    pytest.param(SessionExpired().on("response.created"), id="session expired"),
    pytest.param(Close(1000, "session_expired").on("response.created"), id="expired by reason"),
]
WHILE_CONNECTING = [
    pytest.param(Refuse(), id="refused"),
    pytest.param(HttpStatus(429), id="429"),
    pytest.param(HttpStatus(500), id="500"),
    pytest.param(HttpStatus(503), id="503"),
]
FATAL = [
    pytest.param(Close(3000).on("response.created"), "connection_lost", id="close 3000"),
    pytest.param(Close(4000).on("response.created"), "connection_lost", id="close 4000"),
    *(
        pytest.param(Close(4000, f"invalid_request_error.{code}").on("response.created"), code, id=code)
        for code in ("invalid_api_key", "insufficient_quota", "invalid_model", "model_not_found")
    ),
    pytest.param(
        Close(1011, "beta_api_shape_disabled").on("response.created"),
        "beta_api_shape_disabled",
        id="beta_api_shape_disabled",
    ),
]


class TestStatement08Causes:
    @pytest.mark.parametrize("fault", RETRIED)
    def test_these_ends_are_retried(self, rig: Any, answers: Any, fault: Any) -> None:
        stage = rig("text", fault)
        stage.say("one")
        answers(stage).until("heard one")
        answers(stage).quiet()
        answers(stage).check()
        lost = [event for event in stage.events.of("error") if event.code == "connection_lost"]
        assert [event.recoverable for event in lost] == [True]
        assert n_connections(stage) == 2

    @pytest.mark.parametrize("code", [1005, 1006, 1015])
    def test_ends_without_a_code_on_the_wire_are_retried(self, rig: Any, answers: Any, code: int) -> None:
        stage = rig("text", Close(code).on("response.created"), seam="transport")
        stage.say("one")
        answers(stage).until("heard one")
        assert stage.plan.fired

    def test_missed_pongs_are_retried(self, rig: Any, answers: Any) -> None:
        stage = rig("text", HalfOpen().on("response.created"), gateway=impatient)
        stage.say("one")
        answers(stage).until("heard one")
        lost = stage.events.of("error")[0]
        assert "no ping" in lost.message

    def test_a_server_that_asks_to_wait_is_left_alone_so_long(self, rig: Any, answers: Any) -> None:
        stage = rig("text", Reset().on("response.created"), HttpStatus(429, 1).at_connection(2))
        stage.say("one")
        stage.wire.wait_sent("session.update", 2, 10)
        answers(stage).until("heard one")
        assert len(stage.plan.fired) == 2

    @pytest.mark.parametrize("fault", WHILE_CONNECTING)
    def test_these_refusals_are_retried(self, rig: Any, answers: Any, fault: Any) -> None:
        stage = rig("text", Reset().on("response.created"), fault.at_connection(2))
        stage.say("one")
        answers(stage).until("heard one")
        assert len(stage.plan.fired) == 2

    @pytest.mark.parametrize(("fault", "code"), FATAL)
    def test_these_ends_end_the_session(self, rig: Any, fault: Any, code: str) -> None:
        stage = rig("text", fault)
        stage.say("one")
        closed = stage.events.until("session_closed")
        assert (closed.reason, closed.code) == ("error", code)
        errors = stage.events.of("error")
        assert [(event.code, event.recoverable) for event in errors] == [(code, False)]
        assert len(stage.wire.handshakes()) == 1

    @pytest.mark.parametrize("status", [400, 401, 403, 404])
    def test_these_statuses_end_the_session(self, rig: Any, status: int) -> None:
        stage = rig("text")
        stage.server.refuse_status = status
        stage.server.drop_all()
        closed = stage.events.until("session_closed")
        assert closed.reason == "error"
        assert [event.recoverable for event in stage.events.of("error")] == [True, False]
        assert len(stage.wire.handshakes()) == 2

    @pytest.mark.parametrize(
        ("code", "close"),
        [("insufficient_quota", 1011), ("invalid_api_key", 3000), ("model_not_found", 4000)],
    )
    def test_these_codes_after_the_upgrade_end_the_session(self, rig: Any, code: str, close: int) -> None:
        stage = rig("text")
        stage.server.refuse_error = (code, "no", close)
        stage.server.drop_all()
        closed = stage.events.until("session_closed")
        assert (closed.reason, closed.code) == ("error", code)
        assert len(stage.wire.handshakes()) == 2

    def test_a_server_error_after_the_upgrade_is_retried(
        self, rig: Any, answers: Any, patience_s: float
    ) -> None:
        stage = rig("text")
        stage.server.refuse_error = ("server_error", "sorry", 1011)
        stage.server.drop_all()
        stage.wire.wait_closed(2, patience_s)
        stage.server.refuse_error = None
        stage.say("one")
        answers(stage).until("heard one")

    def test_a_quota_that_is_used_up_is_the_cause_of_the_close_behind_it(self, rig: Any) -> None:
        stage = rig("text")
        error = {"type": "insufficient_quota", "code": "insufficient_quota", "message": "used up"}
        stage.server.inject(json.dumps({"type": "error", "event_id": "e", "error": error}))
        stage.server.close_all(1011)
        closed = stage.events.until("session_closed")
        assert (closed.reason, closed.code) == ("error", "insufficient_quota")
        errors = [(event.code, event.recoverable) for event in stage.events.of("error")]
        assert errors == [("insufficient_quota", False)], "the close is about what was told already"
        assert len(stage.wire.handshakes()) == 1
