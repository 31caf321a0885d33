"""The contract beyond text and audio, over real sockets: images, items, responses of their own, settings changed at runtime.

Statements 4, 8 and 12, and what "accepted" means (DESIGN section 5) for these commands.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from trunkline import ConfigError, InvalidCommand, ServerError, tool
from trunkline.gateway.items import assistant_text, item_reference
from trunkline.gateway.simulator import CallTool, Gate, Hold, Say
from trunkline.gateway.turn_detection import ServerVad
from trunkline.supervision import ActorDown
from trunkline.supervision.testing import crash
from trunkline.testing import CrashInjected, crash_at

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ITEM, CREATE = "conversation.item.create", "response.create"
WAIT_S = 10.0


@tool
def roll() -> str:
    """Roll a die."""
    return "six"


def history(stage: Any) -> list[Any]:
    return stage.session.history().get(timeout=WAIT_S)


class TestMessagesOfOtherKinds:
    def test_the_model_is_shown_an_image_with_its_words(self, simulate):
        stage, heard = simulate([Say("a dot")])
        item_id = stage.session.send_image(PNG, "what is it?", detail="low").get(timeout=WAIT_S)
        stage.events.until("assistant_turn_completed", status="completed")
        assert stage.types() == [ITEM, CREATE]
        part = stage.sent()[0]["item"]["content"][0]
        assert (part["detail"], base64.b64decode(part["image_url"].partition(",")[2])) == ("low", PNG)
        assert heard[0].last_user_text == "what is it?"
        first, answer = history(stage)
        assert (first.item_id, first.role, first.n_images, first.text) == (item_id, "user", 1, "what is it?")
        assert answer.text == "a dot"
        assert stage.events.of("error") == []

    def test_a_system_message_is_heard_and_not_answered(self, simulate):
        stage, heard = simulate([Say("ok")])
        item_id = stage.session.send_system_text("The user is in Paris.").get(timeout=WAIT_S)
        stage.quiet()
        assert stage.types() == [ITEM]
        stage.session.create_response().get(timeout=WAIT_S)
        stage.events.until("assistant_turn_completed")
        first = history(stage)[0]
        assert (first.item_id, first.role) == (item_id, "system")
        assert len(heard) == 1

    def test_an_item_takes_the_place_it_is_given(self, simulate):
        stage, _ = simulate([Say("ok")])
        stage.session.send_system_text("last").get(timeout=WAIT_S)
        stage.session.create_item(assistant_text("first"), "root").get(timeout=WAIT_S)
        stage.quiet()
        assert [item.text for item in history(stage)] == ["first", "last"]

    def test_what_makes_no_sense_is_refused_in_the_caller(self, simulate):
        stage, _ = simulate()
        session = stage.session
        for mistake, error in (
            (lambda: session.send_image(b"GIF89a"), ConfigError),
            (lambda: session.send_image(PNG, detail="medium"), ConfigError),
            (lambda: session.send_system_text(" "), InvalidCommand),
            (lambda: session.create_item("hi"), InvalidCommand),
            (lambda: session.delete_item(""), InvalidCommand),
            (lambda: session.retrieve_item(None), InvalidCommand),
            (lambda: session.create_response(instruction="x"), InvalidCommand),
            (lambda: session.create_response(conversation="all"), ConfigError),
            (lambda: session.update(voise="x"), InvalidCommand),
            (lambda: session.update(), InvalidCommand),
            (lambda: session.update(speed=9), ConfigError),
            (lambda: session.update(input_audio_format="g711_ulaw"), InvalidCommand),
        ):
            with pytest.raises(error):
                mistake()
        stage.quiet()
        assert stage.types() == []


class TestItemsOfTheConversation:
    def test_an_item_comes_as_the_provider_holds_it_with_its_sound(self, simulate, voice):
        stage, _ = simulate([Say("one two")], **{**voice, "turn_detection": "none"})
        stage.session.create_response().get(timeout=WAIT_S)
        stage.events.until("assistant_turn_completed")
        said = stage.events.of("assistant_audio_delta")
        item = stage.session.retrieve_item(said[0].item_id).get(timeout=WAIT_S)
        assert (item.id, item.role, item.content[0].transcript) == (said[0].item_id, "assistant", "one two")
        assert item.content[0].audio == b"".join(delta.pcm.tobytes() for delta in said)

    def test_a_deleted_item_is_gone_for_the_model_and_the_history(self, simulate):
        stage, heard = simulate([Say("first")], [Say("second")])
        item_id = stage.say("forget me")
        stage.events.until("assistant_turn_completed")
        assert stage.session.delete_item(item_id).get(timeout=WAIT_S) is None
        assert [item.text for item in history(stage)] == ["first"]
        stage.say("and now?")
        stage.events.until("assistant_turn_completed")
        assert heard[1].user_texts == ["and now?"]

    def test_an_unknown_item_fails_exactly_its_caller(self, simulate):
        stage, _ = simulate()
        known = stage.session.send_system_text("known").get(timeout=WAIT_S)
        asked = [stage.session.retrieve_item(name) for name in ("nobody", known)]
        asked.append(stage.session.delete_item("nobody"))
        for refused in (asked[0], asked[2]):
            with pytest.raises(ServerError) as failure:
                refused.get(timeout=WAIT_S)
            assert failure.value.code
            assert failure.value.event_id in {frame["event_id"] for frame in stage.sent()}
        assert asked[1].get(timeout=WAIT_S).id == known
        stage.quiet()
        assert stage.events.of("error") == []

    def test_they_wait_for_the_next_line(self, simulate):
        stage, _ = simulate()
        item_id = stage.session.send_system_text("x").get(timeout=WAIT_S)
        stage.quiet()
        stage.server.abort_all()
        assert stage.session.retrieve_item(item_id).get(timeout=WAIT_S).id == item_id


class TestStatement04ResponsesOfTheirOwn:
    def test_an_out_of_band_response_has_turn_events_of_its_own_and_touches_nobody(self, simulate):
        gate = Gate()
        stage, _ = simulate([Say(["one ", Hold(gate), "two"])], [Say("aside")], [Say("three")])
        stage.say("go")
        gate.wait_reached(10)
        r1 = stage.events.until("assistant_turn_started")
        stage.session.create_response(
            conversation="none", metadata={"topic": "mood"}, instructions="Classify.", modalities=["text"]
        ).get(timeout=WAIT_S)
        r3 = stage.events.until("assistant_turn_started")
        assert (r1.metadata, r3.metadata) == (None, {"topic": "mood"})
        assert stage.events.until("assistant_text", turn_id=r3.turn_id).text == "aside"
        done = stage.events.until("assistant_turn_completed")
        assert (done.turn_id, done.metadata, done.status) == (r3.turn_id, {"topic": "mood"}, "completed")
        stage.say("more")
        stage.quiet()
        assert stage.types().count(CREATE) == 2, "r1 is still active"
        gate.open()
        assert stage.events.until("assistant_text").text == "one two"
        stage.events.until("assistant_turn_completed", turn_id=r1.turn_id)
        stage.events.until("assistant_turn_completed")
        assert [item.text for item in history(stage)] == ["go", "one two", "more", "three"]
        assert "error" not in stage.events.kinds()
        create = stage.sent(CREATE)[1]["response"]
        assert (create["conversation"], create["instructions"]) == ("none", "Classify.")

    def test_several_run_at_once_and_each_ends(self, simulate):
        stage, _ = simulate(*[[Say(str(n))] for n in range(5)])
        for n in range(5):
            stage.session.create_response(conversation="none", metadata={"n": str(n)}).get(timeout=WAIT_S)
        done = [stage.events.until("assistant_turn_completed") for _ in range(5)]
        assert {one.metadata["n"] for one in done} == set("01234")
        assert len({one.turn_id for one in done}) == 5
        assert history(stage) == []

    def test_one_response_may_be_told_otherwise_than_the_session(self, simulate):
        stage, _ = simulate([Say("short")], [Say("long")], instructions="Be verbose.")
        stage.session.create_response(instructions="Be brief.", max_output_tokens=50).get(timeout=WAIT_S)
        stage.events.until("assistant_turn_completed", status="completed")
        stage.say("and now?")
        stage.events.until("assistant_turn_completed", status="completed")
        first, second = (frame["response"] for frame in stage.sent(CREATE))
        assert (first["instructions"], first["max_output_tokens"]) == ("Be brief.", 50)
        assert set(second) == {"metadata"}
        assert stage.events.of("error") == []

    def test_one_response_may_have_tools_of_its_own(self, simulate):
        stage, _ = simulate([CallTool("roll", {})], [Say("six it is")])
        stage.session.create_response(tools=[roll], tool_choice="required").get(timeout=WAIT_S)
        assert stage.events.until("tool_call_completed").result == "six"
        stage.events.until("assistant_text", text="six it is")
        assert [output for _, output in stage.outputs()] == ["six"]

    def test_calls_of_an_out_of_band_response_do_not_run_and_say_why(self, simulate):
        stage, _ = simulate([CallTool("roll", {"sides": 6})], [Say("hello")])
        stage.session.create_response(conversation="none", tools=[roll]).get(timeout=WAIT_S)
        started = stage.events.until("tool_call_started")
        failed = stage.events.until("tool_call_failed")
        assert (failed.call_id, failed.turn_id, failed.code) == (
            started.call_id,
            started.turn_id,
            "out_of_band",
        )
        assert stage.events.until("assistant_turn_completed").status == "completed"
        stage.say("hi")
        stage.events.until("assistant_text", text="hello")
        assert (stage.outputs(), stage.types().count(CREATE)) == ([], 2)
        arguments = "".join(event.delta for event in stage.events.of("tool_call_args_delta"))
        assert json.loads(arguments) == {"sides": 6}

    def test_a_refused_one_is_an_error_event_of_its_own(self, simulate):
        stage, _ = simulate([Say("ok")])
        stage.session.create_response(max_output_tokens=50, prompt=None, conversation="none", input=[]).get(
            timeout=WAIT_S
        )
        stage.events.until("assistant_turn_completed")
        stage.session.create_response(input=[item_reference("nobody")]).get(timeout=WAIT_S)
        error = stage.events.until("error")
        assert error.event_id == stage.sent(CREATE)[-1]["event_id"]
        assert error.recoverable
        stage.say("go on")
        stage.events.until("assistant_turn_completed", status="completed")

    def test_what_was_accepted_while_the_line_was_down_is_made_once_it_is_back(self, puppeteer):
        stage, puppet = puppeteer()
        puppet.take("session.update")
        puppet.welcome.clear()
        puppet.drop()
        stage.events.until("error", code="connection_lost")
        stage.session.create_response(conversation="none", metadata={"a": "b"}).get(timeout=WAIT_S)
        stage.session.create_response(instructions="x").get(timeout=WAIT_S)
        puppet.welcome.set()
        puppet.take("session.update")
        first, second = puppet.take(CREATE), puppet.take(CREATE)
        assert [one["response"].get("conversation") for one in (first, second)] == [None, "none"]
        puppet.begin("r1", first)
        puppet.done("r1", create=first)
        puppet.begin("s1", second, conversation_id=None)
        puppet.done("s1", create=second, conversation_id=None)
        stage.events.until("assistant_turn_completed", turn_id="s1")
        puppet.drop()
        stage.events.until("session_updated", resumed=True)
        stage.quiet()
        assert stage.types().count(CREATE) == 2, "what was answered is not asked for again"


class TestSettingsChangedAtRuntime:
    def test_tools_come_and_go(self, simulate):
        @tool
        def toss() -> str:
            """Toss a coin."""
            return "heads"

        stage, _ = simulate(
            [CallTool("toss", {})], [Say("heads")], [CallTool("roll", {})], [Say("six")], tools=[toss]
        )
        stage.say("toss")
        assert stage.events.until("tool_call_completed").result == "heads"
        stage.events.until("assistant_text", text="heads")
        stage.session.update(tools=[roll]).get(timeout=WAIT_S)
        change = stage.wire.sent("session.update")[-1]["session"]
        assert (set(change), [each["name"] for each in change["tools"]]) == ({"type", "tools"}, ["roll"])
        stage.say("roll")
        assert stage.events.until("tool_call_completed").result == "six"
        stage.events.until("assistant_text", text="six")

    @pytest.mark.parametrize("how", ["lost", "crashed"])
    def test_a_change_outlives_the_line_and_the_actor(self, simulate, how):
        stage, _ = simulate([CallTool("roll", {})], [Say("six")], instructions="old")
        stage.session.update(
            tools=[roll], instructions="new", turn_detection=ServerVad(threshold=0.25), speed=1.25
        ).get(timeout=WAIT_S)
        if how == "lost":
            stage.server.abort_all()
        else:
            crash(stage.session.actor_ref, RuntimeError("on purpose"))
        updated = stage.events.until("session_updated", resumed=True)
        assert updated.instructions == "new"
        greeting = stage.wire.sent("session.update")[-1]["session"]
        assert [each["name"] for each in greeting["tools"]] == ["roll"]
        assert greeting["audio"]["input"]["turn_detection"]["threshold"] == 0.25
        assert greeting["audio"]["output"]["speed"] == 1.25
        assert stage.session.get_instructions().get(timeout=WAIT_S) == "new"
        stage.say("roll")
        assert stage.events.until("tool_call_completed").result == "six"

    def test_the_provider_s_refusal_is_the_caller_s_alone_and_changes_nothing(self, simulate):
        stage, _ = simulate([Say("spoken")], modalities=["audio"], voice="marin", turn_detection="none")
        stage.say("speak")
        stage.events.until("assistant_turn_completed")
        with pytest.raises(ServerError) as failure:
            stage.session.update(voice="cedar", instructions="new").get(timeout=WAIT_S)
        assert failure.value.code == "cannot_update_voice"
        assert failure.value.event_id == stage.wire.sent("session.update")[-1]["event_id"]
        assert stage.session.get_instructions().get(timeout=WAIT_S) is None
        stage.quiet()
        assert stage.events.of("error") == []
        stage.server.abort_all()
        stage.events.until("session_updated", resumed=True)
        assert stage.wire.sent("session.update")[-1]["session"]["audio"]["output"]["voice"] == "marin"

    def test_turn_detection_is_switched_on_and_off(self, simulate):
        stage, _ = simulate([Say("committed")], modalities=["audio"], turn_detection="server_vad")
        stage.session.commit_audio().get(timeout=WAIT_S)
        stage.session.update(turn_detection="none").get(timeout=WAIT_S)
        with pytest.raises(InvalidCommand):
            stage.session.commit_audio().get(timeout=WAIT_S)
        stage.session.send_audio(np.zeros(4800, np.int16)).get(timeout=WAIT_S)
        stage.session.commit_audio().get(timeout=WAIT_S)
        stage.events.until("assistant_turn_completed", status="completed")

    def test_what_does_not_go_with_the_rest_is_the_caller_s_fault(self, simulate):
        stage, _ = simulate(turn_detection="server_vad", modalities=["audio"])
        with pytest.raises(ConfigError):
            stage.session.update(input_audio_transcription="gpt-realtime-whisper").get(timeout=WAIT_S)
        stage.quiet()
        assert len(stage.wire.sent("session.update")) == 1

    def test_it_is_held_while_the_line_is_down(self, puppeteer):
        stage, puppet = puppeteer(instructions="old")
        puppet.take("session.update")
        puppet.drop()
        stage.events.until("error", code="connection_lost")
        updating = stage.session.update(voice="cedar")
        updating.get(timeout=WAIT_S)
        greeting, change = puppet.take("session.update"), puppet.take("session.update")
        assert "voice" not in greeting["session"]["audio"]["output"]
        assert change["session"] == {"type": "realtime", "audio": {"output": {"voice": "cedar"}}}


class TestStatement12EventIds:
    def test_every_new_command_has_an_event_id_of_its_own(self, simulate):
        stage, _ = simulate(*[[Say("ok")]] * 4)
        session = stage.session
        item_id = session.send_image(PNG).get(timeout=WAIT_S)
        stage.events.until("assistant_turn_completed")
        session.send_system_text("x").get(timeout=WAIT_S)
        session.create_item(assistant_text("y")).get(timeout=WAIT_S)
        session.retrieve_item(item_id).get(timeout=WAIT_S)
        session.delete_item(item_id).get(timeout=WAIT_S)
        session.create_response(conversation="none").get(timeout=WAIT_S)
        session.create_response(instructions="z").get(timeout=WAIT_S)
        stage.events.until("assistant_turn_completed")
        stage.events.until("assistant_turn_completed")
        session.update(speed=1.5, modalities=["audio"]).get(timeout=WAIT_S)
        ids = [frame.get("event_id") for frame in stage.wire.sent()]
        assert all(ids)
        assert len(set(ids)) == len(ids)
        assert stage.events.of("error") == []


class TestAcceptedAcrossACrash:
    @pytest.mark.parametrize("aside", [True, False], ids=["out of band", "with options"])
    def test_a_response_that_was_asked_for_is_made_once(self, simulate, aside):
        stage, heard = simulate([Say("made")], [Say("made twice")])
        options = {"instructions": "x", "metadata": {"n": "1"}, **({"conversation": "none"} if aside else {})}
        with crash_at("session.after_accept") as crashes:
            stage.session.create_response(**options).exception(timeout=WAIT_S)
            crashes.wait(WAIT_S)
        stage.events.until("session_updated", resumed=True)
        done = stage.events.until("assistant_turn_completed", status="completed")
        assert done.metadata == {"n": "1"}
        stage.quiet()
        (create,) = stage.sent(CREATE)
        assert create["response"]["instructions"] == "x"
        assert len(heard) == 1
        stage.server.abort_all()
        stage.events.until("session_updated", resumed=True)
        stage.quiet()
        assert len(stage.sent(CREATE)) == 1

    @pytest.mark.parametrize("kind", ["image", "system", "item"])
    def test_a_message_that_was_accepted_is_in_the_conversation_once(self, simulate, kind):
        stage, heard = simulate([Say("seen")], [Say("seen again")])
        session = stage.session
        say = {
            "image": lambda: session.send_image(PNG, "look"),
            "system": lambda: session.send_system_text("look"),
            "item": lambda: session.create_item(assistant_text("look")),
        }[kind]
        # the wish for a reply to the image comes first, and then it
        with crash_at("session.after_accept", after=int(kind == "image")) as crashes:
            accepted = say().get(timeout=WAIT_S)
            crashes.wait(WAIT_S)
        stage.events.until("session_updated", resumed=True)
        if kind == "image":
            stage.events.until("assistant_turn_completed", status="completed")
        stage.quiet()
        assert [item.item_id for item in history(stage) if item.text == "look"] == [accepted]
        assert len(stage.wire.sent(ITEM, 2)) == 1
        assert len(heard) == (kind == "image")

    def test_a_question_that_was_in_hand_fails_and_the_next_one_is_answered(self, simulate):
        stage, _ = simulate()
        item_id = stage.session.send_system_text("x").get(timeout=WAIT_S)
        stage.quiet()  # it is sent as well
        with crash_at("session.before_send") as crashes:
            with pytest.raises((ActorDown, CrashInjected)):
                stage.session.retrieve_item(item_id).get(timeout=WAIT_S)
            crashes.wait(WAIT_S)
        assert stage.session.retrieve_item(item_id).get(timeout=WAIT_S).id == item_id
