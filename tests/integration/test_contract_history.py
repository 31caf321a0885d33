"""Statement 15 of the session contract, over real sockets: history, transcripts and cost, held against what the server said."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from trunkline import tool
from trunkline.gateway.items import assistant_text
from trunkline.simulator import (
    CallTool,
    FunctionBrain,
    Gate,
    Hold,
    Say,
    Simulator,
    Speak,
    Transcript,
    encode_words,
)

WAIT_S = 10.0
SPOKEN: dict[str, Any] = {
    "modalities": ["audio"],
    "turn_detection": "none",
    "input_audio_transcription": True,
}


@tool
def look(city: str) -> str:
    """Look at a city."""
    return f"{city} is fine"


@pytest.fixture
def start(servers, open_session):
    """`start(brain, transcriber=None, **config)`: a Stage whose simulator transcribes so."""

    def start(reply: Any, transcriber: Any = None, **config: Any) -> Any:
        server = Simulator(FunctionBrain(reply), transcriber=transcriber).start()
        servers.append(server)
        return open_session(server, **config)

    return start


def server_s_items(stage: Any, connection: int = 1) -> list[str]:
    """The server's list, as its own events tell it."""
    order: list[str] = []
    for event in stage.wire.received(connection=connection):
        match event["type"]:
            case "conversation.item.added":
                previous = event.get("previous_item_id")
                order.insert(order.index(previous) + 1 if previous in order else 0, event["item"]["id"])
            case "conversation.item.deleted":
                order.remove(event["item_id"])
    return order


def history(stage: Any) -> list[Any]:
    return stage.session.history().get(timeout=WAIT_S)


def speak(stage: Any, words: str) -> None:
    stage.session.send_audio(encode_words(words)).get(timeout=WAIT_S)
    stage.session.commit_audio().get(timeout=WAIT_S)


def completed(stage: Any) -> None:
    stage.events.until("assistant_turn_completed")


class TestStatement15HistoryTranscriptsUsage:
    def test_what_a_new_line_was_not_told_stays_where_it_was(self, start):
        def reply(conversation: Any) -> list[Any]:
            return [CallTool("wait", {})] if conversation.last_user_text == "one" else [Say("well")]

        @tool
        def wait(ctx: Any) -> str:
            """Wait to be told."""
            ctx.wait_cancelled(10)
            return "late"

        stage = start(reply, tools=[wait])
        stage.say("one")
        stage.events.until("tool_call_dispatched")
        stage.interrupt()  # the call is dropped: no line will hear of it any more
        stage.server.drop_all()
        stage.events.until("session_updated", resumed=True)
        for words in ("two", "three"):
            stage.say(words)
            completed(stage)
        stage.quiet()
        told = [item.text or item.type for item in history(stage)]
        assert told == ["one", "function_call", "two", "well", "three", "well"]

    @pytest.mark.parametrize("says", ["two", None], ids=["a word of the user", "no word"])
    def test_a_call_that_a_new_line_is_told_with_its_output_is_where_that_line_has_it(self, start, says):
        """The model speaks on the new line when the tool ends."""
        go_on, goes_on = threading.Event(), Gate()

        @tool
        def wait() -> str:
            """Wait to be told."""
            go_on.wait(WAIT_S)
            return "late"

        replies = iter([[CallTool("wait", {})] * 2, [Say(["well ", Hold(goes_on), "then"])]])
        stage = start(lambda _: next(replies, [Say("ok")]), tools=[wait], modalities=["text"])
        stage.say("one")
        stage.events.until("tool_call_dispatched")
        stage.server.drop_all()
        stage.events.until("session_updated", resumed=True)
        if says is None:
            stage.session.create_response().get(timeout=WAIT_S)
        else:
            stage.say(says)
        stage.events.until("assistant_text_delta")
        go_on.set()
        stage.events.until("tool_batch_submitted")
        stage.quiet()  # the server has shown the calls
        goes_on.open()
        stage.events.until("assistant_text", text="well then")
        stage.events.until("assistant_text", text="ok")
        completed(stage)
        stage.say("three")
        stage.events.until("assistant_text", text="ok")
        completed(stage)
        stage.quiet()
        told = [item.text or item.type for item in history(stage)]
        said = ["one"] if says is None else ["one", says]
        calls = ["function_call", "function_call_output"] * 2
        assert told == [*said, "well then", *calls, "ok", "three", "ok"]
        ids = [item.item_id for item in history(stage)]
        assert ids == server_s_items(stage, 2)
        stage.server.drop_all()
        stage.events.until("session_updated", resumed=True)
        stage.quiet()
        assert [frame["item"]["id"] for frame in stage.wire.sent("conversation.item.create", 3)] == ids

    @pytest.mark.parametrize("deletes", [False, True])
    def test_what_was_said_while_the_model_speaks_comes_after_it(self, start, deletes):
        gate = Gate()
        stage = start(lambda conversation: [Say(["well ", Hold(gate)])])
        if deletes:
            before = stage.say("never mind")
        else:
            stage.session.create_response().get(timeout=WAIT_S)  # the model's item is the first of all
        stage.events.until("assistant_text_delta")
        during = stage.say("hello?")
        stage.wire.wait_received("conversation.item.added", item__id=during)
        if deletes:
            stage.session.delete_item(before).get(timeout=WAIT_S)
        gate.open()
        completed(stage)
        completed(stage)
        stage.quiet()
        ids = [item.item_id for item in history(stage)]
        assert ids == server_s_items(stage)
        assert ids.index(during) == 1

    def test_the_history_is_the_server_s_list_of_items_in_its_order(self, start):
        def reply(conversation: Any) -> Any:
            answered = any(item["type"] == "function_call_output" for item in conversation.items)
            return [Say("It is fine.")] if answered else [CallTool("look", {"city": "Ottawa"})]

        stage = start(reply, tools=[look], modalities=["text"])
        stage.session.send_system_text("Be brief.").get(timeout=WAIT_S)
        stage.say("How is Ottawa?")
        stage.events.until("assistant_text")
        completed(stage)
        first = stage.session.create_item(assistant_text("Welcome."), previous_item_id="root")
        dropped = stage.say("Forget this.")
        stage.session.delete_item(dropped).get(timeout=WAIT_S)
        stage.quiet()
        shown = history(stage)
        assert [item.item_id for item in shown] == server_s_items(stage)
        assert shown[0].item_id == first.get(timeout=WAIT_S)
        assert [item.type for item in shown[:6]] == [
            *["message"] * 3,
            "function_call",
            "function_call_output",
            "message",
        ]
        for item in shown[:3]:  # and what it says is what the server has
            kept = stage.session.retrieve_item(item.item_id).get(timeout=WAIT_S)
            assert "".join(part.text or "" for part in kept.content) == item.text

    def test_a_transcript_that_comes_after_the_answer_is_in_its_item_s_place(self, start):
        late = Gate()
        stage = start(
            lambda _: [Speak("i hear you")], lambda _: Transcript("good morning", hold=late), **SPOKEN
        )
        speak(stage, "good morning")
        completed(stage)
        assert [(item.role, item.text) for item in history(stage)] == [
            ("user", ""),
            ("assistant", "i hear you"),
        ]
        late.open()
        said = stage.events.until("user_transcript")
        assert next((item.item_id, item.text) for item in history(stage)) == (said.item_id, "good morning")
        assert [item.item_id for item in history(stage)] == server_s_items(stage)

    def test_a_transcription_that_fails_is_told_and_the_conversation_goes_on(self, start):
        def fails(_: Any) -> str:
            raise RuntimeError("too much noise")

        stage = start(lambda _: [Speak("pardon")], fails, **SPOKEN)
        speak(stage, "good morning")
        assert stage.events.until("user_transcript").error
        stage.events.until("assistant_transcript")
        completed(stage)
        assert [(item.role, item.text) for item in history(stage)] == [("user", ""), ("assistant", "pardon")]

    def test_of_an_answer_that_was_cut_off_the_history_has_what_was_heard(self, start):
        stage = start(lambda _: [Speak("one two three four five")], **SPOKEN)
        stage.say("Count.")
        item_id = stage.events.until("assistant_transcript").item_id
        completed(stage)
        stage.session.report_playback(item_id, 450).get(timeout=WAIT_S)  # a word takes 200 ms
        stage.interrupt()
        told = stage.wire.wait_sent("conversation.item.truncate")[0]
        assert (told["item_id"], told["audio_end_ms"]) == (item_id, 450)
        stage.wire.wait_received("conversation.item.truncated")
        (item,) = [one for one in history(stage) if one.role == "assistant"]
        assert (item.truncated, item.audio_end_ms, item.text) == (True, 450, "one two")
        assert stage.events.until("interrupted").audio_end_ms == 450

    def test_usage_is_the_sum_of_what_every_response_and_transcription_said_across_reconnects(self, start):
        hold = Gate()
        answers = iter(["first", "second", "third"])

        def reply(_: Any) -> Any:
            text = next(answers)
            return [Speak(text), Hold(hold)] if text == "third" else [Speak(text)]

        stage = start(reply, lambda _: "good morning", **SPOKEN)
        speak(stage, "good morning")
        completed(stage)
        stage.server.abort_all()
        stage.events.until("session_updated", resumed=True)
        stage.say("And then?")
        completed(stage)
        stage.say("Go on.")
        stage.events.until("assistant_audio_delta")
        stage.interrupt()
        completed(stage)
        hold.open()
        stage.quiet()
        done = [event["response"]["usage"] for event in stage.wire.received("response.done")]
        heard = [
            event["usage"]
            for event in stage.wire.received("conversation.item.input_audio_transcription.completed")
        ]
        assert (len(done), len(heard)) == (3, 1)
        used = stage.session.usage().get(timeout=WAIT_S)
        assert used.n_responses == len(done)
        for name in ("total_tokens", "input_tokens", "output_tokens"):
            assert getattr(used.tokens, name) == sum(one[name] for one in done)
        for name in ("text_tokens", "audio_tokens", "cached_tokens"):
            wanted = sum(one["input_token_details"].get(name, 0) for one in done)
            assert getattr(used.tokens.input_token_details, name) == wanted
        for name in ("text_tokens", "audio_tokens"):
            wanted = sum(one["output_token_details"].get(name, 0) for one in done)
            assert getattr(used.tokens.output_token_details, name) == wanted
        assert used.tokens.output_token_details.audio_tokens > 0
        spent = used.transcription
        assert spent.n_transcriptions == 1
        assert (spent.total_tokens, spent.seconds) == (
            sum(one.get("total_tokens", 0) for one in heard),
            sum(one.get("seconds", 0.0) for one in heard),
        )
