"""What callers want beside text and audio: images, items, responses of their own, other settings; as tables, without a socket."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline import tool
from trunkline.actors.command_desk import HELD_COMMANDS
from trunkline.actors.commands import (
    CreateItem,
    CreateResponse,
    DeleteItem,
    GetHistory,
    GetInstructions,
    Interrupt,
    RetrieveItem,
    SendImage,
    SendSystemText,
    SendText,
    Update,
    UpdateInstructions,
)
from trunkline.actors.effects import Reconfigure
from trunkline.actors.errors import CommandTimeout, InvalidCommand, LineDown
from trunkline.actors.tool_errors import ToolDefinitionError
from trunkline.gateway.errors import ConfigError, LineClosed, ServerError
from trunkline.gateway.items import assistant_text, user_text
from trunkline.gateway.tool_descriptor import ToolChoice
from trunkline.gateway.turn_detection import ServerVad

PNG = b"\x89PNG\r\n\x1a\n and so on"
CREATE, ITEM = "response.create", "conversation.item.create"


@tool
def other(what: str = "") -> str:
    """Look at something else."""
    return what


def lose(core: Any) -> None:
    core.take(core.core.line_lost(LineClosed(1006), 0.0))


def come_back(core: Any) -> None:
    """A new line; what went over it is in ``core.wire``, the greeting left out."""
    core.clear()
    core.timer("retry")
    core.open()
    core.wire.pop(0)


def ask_for(core: Any, **options: Any) -> int:
    return core.say(CreateResponse.of(options))


class TestMessages:
    def test_an_image_is_a_user_message_that_wants_a_reply(self, drive):
        core = drive()
        token = core.say(SendImage(PNG, "what is it?", "low"))
        assert core.types() == [ITEM, CREATE]
        item = core.wire[0]["item"]
        assert (item["role"], [part["type"] for part in item["content"]]) == (
            "user",
            ["input_image", "input_text"],
        )
        assert item["content"][0]["image_url"].startswith("data:image/png;base64,")
        assert core.resolved[token] == item["id"]

    def test_a_system_message_wants_none(self, drive):
        core = drive()
        token = core.say(SendSystemText("The user is in Paris."))
        assert core.types() == [ITEM]
        item = core.wire[0]["item"]
        assert (item["role"], item["content"][0]) == (
            "system",
            {"type": "input_text", "text": "The user is in Paris."},
        )
        assert core.resolved[token] == item["id"]

    def test_an_item_goes_where_it_is_wanted_also_in_the_history_and_on_the_next_line(self, drive):
        core = drive()
        core.say(CreateItem(user_text("second", item_id="b")))
        core.say(CreateItem(assistant_text("first", item_id="a"), "root"))
        assert [frame.get("previous_item_id") for frame in core.wire] == [None, "root"]
        token = core.say(GetHistory())
        assert [item.text for item in core.resolved[token]] == ["first", "second"]
        lose(core)
        come_back(core)
        assert [frame["item"]["id"] for frame in core.wire] == ["a", "b"]

    def test_an_item_of_a_known_id_is_refused(self, drive):
        core = drive()
        core.say(CreateItem(user_text("one", item_id="a")))
        core.clear()
        assert isinstance(core.rejected[core.say(CreateItem(user_text("two", item_id="a")))], InvalidCommand)
        assert core.wire == []

    @pytest.mark.parametrize(
        "command",
        [SendSystemText("x"), SendImage(PNG), CreateItem(assistant_text("x"))],
        ids=["system", "image", "item"],
    )
    def test_what_the_provider_refuses_is_no_part_of_the_conversation(self, drive, command):
        core = drive()
        item_id = core.resolved[core.say(command)]
        core.refuse(core.wire[0]["event_id"], "invalid_value", param="item")
        assert [(e.code, e.item_id, e.param) for e in core.seen] == [("invalid_value", item_id, "item")]
        assert core.resolved[core.say(GetHistory())] == []


class TestItemRequests:
    @pytest.mark.parametrize("make", [DeleteItem, RetrieveItem])
    def test_the_provider_s_refusal_fails_exactly_its_caller(self, drive, make):
        core = drive()
        first, second = core.say(make("a")), core.say(make("a"))
        core.refuse(core.wire[1]["event_id"], "item_not_found", param="item_id")
        assert first not in core.rejected
        error = core.rejected[second]
        assert isinstance(error, ServerError)
        assert (error.code, error.param, error.event_id) == (
            "item_not_found",
            "item_id",
            core.wire[1]["event_id"],
        )
        assert core.seen == []

    def test_answers_go_to_whom_they_are_for(self, drive):
        core = drive()
        delete, retrieve, another = (
            core.say(DeleteItem("a")),
            core.say(RetrieveItem("a")),
            core.say(RetrieveItem("b")),
        )
        assert core.types() == ["conversation.item.delete", *["conversation.item.retrieve"] * 2]
        core.server("conversation.item.retrieved", item={"id": "b", "type": "message"})
        assert core.resolved[another].id == "b"
        core.server("conversation.item.deleted", item_id="a")
        assert core.resolved[delete] is None
        assert retrieve not in core.resolved
        core.server("conversation.item.retrieved", item={"id": "a", "type": "message"})
        assert core.resolved[retrieve].id == "a"

    def test_a_deletion_is_no_answer_to_who_wants_to_see_the_item(self, drive):
        core = drive()
        retrieve, delete = core.say(RetrieveItem("a")), core.say(DeleteItem("a"))
        core.server("conversation.item.deleted", item_id="a")
        assert (retrieve in core.resolved, delete in core.resolved) == (False, True)

    def test_a_deleted_item_is_out_of_the_history(self, drive):
        core = drive()
        item_id = core.resolved[core.say(SendSystemText("x"))]
        core.say(DeleteItem(item_id))
        assert len(core.resolved[core.say(GetHistory())]) == 1, "not before the provider says so"
        core.server("conversation.item.deleted", item_id=item_id)
        assert core.resolved[core.say(GetHistory())] == []

    def test_no_answer_is_a_time_out_and_a_late_one_is_nobody_s(self, drive):
        core = drive()
        token = core.say(RetrieveItem("a"))
        core.timer(core.timers()[-1])
        assert isinstance(core.rejected[token], CommandTimeout)
        assert "retrieve_item" in str(core.rejected[token])
        core.server("conversation.item.retrieved", item={"id": "a", "type": "message"})
        assert token not in core.resolved

    def test_they_wait_for_a_line_and_are_asked_again_on_the_next(self, drive):
        core = drive()
        lost = core.say(DeleteItem("a"))
        lose(core)
        held = core.say(RetrieveItem("b"))
        core.say(SendText("hi"))
        come_back(core)
        assert core.types() == [ITEM, CREATE, "conversation.item.delete", "conversation.item.retrieve"]
        core.server("conversation.item.deleted", item_id="a")
        core.server("conversation.item.retrieved", item={"id": "b", "type": "message"})
        assert {lost, held} <= set(core.resolved)


class TestResponsesOfTheirOwn:
    def test_options_go_with_the_create_and_our_mark_beside_the_metadata(self, drive):
        core = drive()
        token = ask_for(core, instructions="be brief", metadata={"topic": "x"}, max_output_tokens=9)
        (create,) = core.wire
        mark = {"client_event_id": create["event_id"]}
        assert create["response"] == {
            "instructions": "be brief",
            "metadata": {"topic": "x", **mark},
            "max_output_tokens": 9,
        }
        assert core.resolved[token] is None
        core.begin("r1", metadata=create["response"]["metadata"])
        core.done("r1", metadata=create["response"]["metadata"])
        assert [event.metadata for event in core.seen] == [{"topic": "x"}] * 2

    def test_each_has_a_create_of_its_own_and_plain_asks_share_one(self, drive):
        core = drive()
        core.begin("busy")
        core.say(SendText("a"))
        ask_for(core, instructions="one")
        core.say(SendText("b"))
        ask_for(core, instructions="two")
        core.clear()
        said = []
        for response in ("busy", "r1", "r2", "r3"):
            core.done(response)
            for create in core.wire:
                said.append(create["response"].get("instructions"))
                core.begin(f"r{len(said)}", metadata=create["response"]["metadata"])
            core.clear()
        assert said == [None, "one", "two"]

    def test_a_lost_line_asks_again_with_the_same_options(self, drive):
        core = drive()
        ask_for(core, instructions="one")
        core.begin("r1", metadata=core.wire[0]["response"]["metadata"])
        lose(core)
        come_back(core)
        assert [frame["response"]["instructions"] for frame in core.wire] == ["one"]

    @pytest.mark.parametrize("conversation", [None, "none"])
    def test_the_next_incarnation_asks_with_the_same_options(self, drive, conversation):
        core = drive()
        ask_for(core, instructions="one", conversation=conversation)
        again = drive(log=core.log, restarts=1, opened=False)
        again.open()
        (create,) = [frame for frame in again.wire if frame["type"] == CREATE]
        assert create["response"]["instructions"] == "one"
        assert create["response"].get("conversation") == conversation
        again.begin("r1", metadata=create["response"]["metadata"], conversation_id=None)
        again.done("r1", metadata=create["response"]["metadata"])
        third = drive(log=again.log, restarts=2, opened=False)
        third.open()
        assert CREATE not in third.types()

    def test_a_refused_one_is_an_error_event_and_settled(self, drive):
        core = drive()
        ask_for(core, voice="marin")
        core.refuse(core.wire[0]["event_id"], "cannot_update_voice", param="response.audio.voice")
        assert [(e.code, e.event_id) for e in core.seen] == [
            ("cannot_update_voice", core.wire[0]["event_id"])
        ]
        lose(core)
        come_back(core)
        assert core.wire == []

    def test_its_tools_can_be_run(self, drive):
        core = drive()
        ask_for(core, tools=[other])
        (recipe,) = core.of(Reconfigure)
        assert set(recipe.tools) == {"look", "other"}
        assert [tool["name"] for tool in core.wire[0]["response"]["tools"]] == ["other"]
        core.begin("r1", metadata=core.wire[0]["response"]["metadata"])
        core.call("c1", name="other")
        core.done("r1")
        assert core.started() == ["c1"]

    def test_a_tool_that_takes_another_one_s_name_is_refused(self, drive):
        core = drive()

        @tool
        def look(where: int) -> int:
            """Look elsewhere."""
            return where

        token = ask_for(core, tools=[look])
        assert isinstance(core.rejected[token], InvalidCommand)
        assert core.wire == []


class TestOutOfBandResponses:
    @staticmethod
    def aside(core: Any, response: str, topic: str) -> None:
        ask_for(core, conversation="none", metadata={"topic": topic})
        core.begin(response, metadata=core.wire[-1]["response"]["metadata"], conversation_id=None)

    def test_any_number_runs_beside_the_conversation(self, drive):
        core = drive()
        core.say(SendText("hi"))
        core.begin("r1", metadata=core.wire[-1]["response"]["metadata"])
        self.aside(core, "s1", "one")
        self.aside(core, "s2", "two")
        core.say(SendText("more"))
        core.clear()
        core.text("x", "s1")
        core.text("y", "r1")
        core.text("z", "s2")
        assert [(event.turn_id, event.delta) for event in core.seen] == [
            ("s1", "x"),
            ("r1", "y"),
            ("s2", "z"),
        ]
        core.done("s1", conversation_id=None)
        core.done("s2", conversation_id=None)
        assert CREATE not in core.types(), "the conversation's response is still active"
        core.done("r1")
        assert core.types().count(CREATE) == 1

    def test_it_is_recognised_by_its_mark_where_no_response_was_seen_before(self, drive):
        core = drive()
        self.aside(core, "s1", "one")
        core.call("c1", response="s1")
        core.done("s1", conversation_id=None, metadata={"topic": "one"})
        assert core.started() == []
        assert core.seen[-1].metadata == {"topic": "one"}
        assert core.resolved[core.say(GetHistory())] == []

    def test_a_provider_that_gives_no_metadata_back_makes_them_in_order(self, drive):
        core = drive()
        core.begin("r0")
        core.done("r0")
        for _ in range(2):
            ask_for(core, conversation="none")
        for name in ("s1", "s2"):
            core.begin(name, conversation_id=None)
            core.done(name, conversation_id=None)
        lose(core)
        come_back(core)
        assert core.wire == []

    def test_one_that_is_asked_for_again_ends_as_any_other(self, drive):
        core = drive()
        core.begin("r0")
        core.done("r0")
        ask_for(core, conversation="none")
        core.begin("s1", conversation_id=None)
        lose(core)
        come_back(core)
        assert core.types() == [CREATE]
        core.begin("s2", conversation_id=None)
        core.done("s2", conversation_id=None)
        lose(core)
        come_back(core)
        assert core.wire == []

    def test_an_interruption_is_none_of_its_business(self, drive):
        core = drive()
        self.aside(core, "s1", "one")
        core.clear()
        core.say(Interrupt())
        core.text("x", "s1")
        assert (core.wire, core.kinds()) == ([], ["assistant_text_delta"])

    def test_a_lost_line_asks_again_for_what_was_not_over(self, drive):
        core = drive()
        self.aside(core, "s1", "over")
        core.done("s1", conversation_id=None)
        self.aside(core, "s2", "open")
        ask_for(core, conversation="none", metadata={"topic": "not begun"})
        lose(core)
        assert [event.turn_id for event in core.seen if event.kind == "interrupted"] == ["s2"]
        come_back(core)
        assert [frame["response"]["metadata"]["topic"] for frame in core.wire] == ["open", "not begun"]

    def test_silence_is_an_error_and_a_late_one_is_cancelled_and_hidden(self, drive):
        core = drive()
        ask_for(core, conversation="none")
        (create,) = core.wire
        core.timer(("side", create["event_id"]))
        assert [(e.code, e.event_id) for e in core.seen] == [("response_timeout", create["event_id"])]
        core.clear()
        core.begin("s1", metadata=create["response"]["metadata"], conversation_id=None)
        core.text("x", "s1")
        core.done("s1", conversation_id=None)
        assert [(f["type"], f["response_id"]) for f in core.wire] == [("response.cancel", "s1")]
        assert core.seen == []
        lose(core)
        come_back(core)
        assert core.wire == [], "who was told that there is none does not wait for it"

    def test_a_refusal_settles_it(self, drive):
        core = drive()
        ask_for(core, conversation="none")
        core.refuse(core.wire[0]["event_id"], "invalid_value")
        assert [e.code for e in core.seen] == ["invalid_value"]
        lose(core)
        come_back(core)
        assert core.wire == []


class TestUpdates:
    def test_only_what_changes_is_said(self, drive):
        core = drive(instructions="old", voice="marin")
        token = core.say(
            Update({"voice": "cedar", "turn_detection": ServerVad(threshold=0.3), "instructions": "old"})
        )
        (update,) = core.wire
        audio = update["session"].pop("audio")
        assert update["session"] == {"type": "realtime"}
        assert audio["output"] == {"voice": "cedar"}
        assert audio["input"]["turn_detection"]["threshold"] == 0.3
        assert token not in core.resolved
        core.server("session.updated", session={"id": "s", "instructions": "old"})
        assert core.resolved[token] is None
        assert [(e.kind, e.instructions) for e in core.seen] == [("session_updated", "old")]
        assert core.core.config.voice == "cedar"

    def test_what_changes_nothing_is_answered_at_once(self, drive):
        core = drive(voice="marin")
        assert core.resolved[core.say(Update({"voice": "marin"}))] is None
        assert core.wire == []

    def test_a_refusal_leaves_everything_as_it_was(self, drive):
        core = drive(voice="marin")
        token, following = core.say(Update({"voice": "cedar"})), core.say(Update({"speed": 1.5}))
        core.refuse(core.wire[0]["event_id"], "cannot_update_voice", param="session.audio.output.voice")
        error = core.rejected[token]
        assert isinstance(error, ServerError)
        assert (error.code, error.param) == ("cannot_update_voice", "session.audio.output.voice")
        assert core.core.config.voice == "marin"
        assert core.wire[1]["session"]["audio"] == {"output": {"speed": 1.5}}
        core.server("session.updated", session={"id": "s"})
        assert core.resolved[following] is None

    @pytest.mark.parametrize(
        "overrides",
        [
            {"tool_choice": ToolChoice("nobody")},
            {"voice": None},
            {"input_audio_transcription": "gpt-realtime-whisper"},
            {"tools": [other], "tool_choice": ToolChoice("look")},
        ],
    )
    def test_what_does_not_go_with_the_rest_is_refused(self, drive, overrides):
        core = drive(voice="marin", turn_detection="server_vad")
        assert isinstance(core.rejected[core.say(Update(overrides))], ConfigError)
        assert core.wire == []

    def test_new_tools_run_and_old_ones_do_not(self, drive):
        core = drive()
        core.say(Update({"tools": [other]}))
        assert [tool["name"] for tool in core.wire[0]["session"]["tools"]] == ["other"]
        core.server("session.updated", session={"id": "s"})
        assert set(core.of(Reconfigure)[-1].tools) == {"other"}
        core.begin("r1")
        core.call("c1", name="other")
        core.call("c2", name="look", index=1)
        core.done("r1")
        assert core.started() == ["c1"]
        assert [(e.call_id, e.code) for e in core.seen if e.kind == "tool_call_failed"] == [
            ("c2", "unknown_tool")
        ]

    def test_a_tool_that_nobody_can_approve_is_refused(self, drive):
        @tool(needs_approval=True)
        def risky() -> str:
            """Do something."""
            return ""

        core = drive()
        assert isinstance(core.rejected[core.say(Update({"tools": [risky]}))], ToolDefinitionError)
        assert isinstance(core.rejected[ask_for(core, tools=[risky])], ToolDefinitionError)

    def test_turn_detection_that_is_switched_on_replies_by_itself(self, drive):
        core = drive()
        core.say(Update({"turn_detection": "server_vad"}))
        core.server("session.updated", session={"id": "s"})
        core.clear()
        core.server("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u")
        core.say(SendText("hi"))
        core.server("input_audio_buffer.speech_stopped", audio_end_ms=9, item_id="u")
        assert CREATE not in core.types()

    def test_the_effective_configuration_goes_over_the_next_line(self, drive):
        core = drive(voice="marin")
        core.say(Update({"voice": "cedar"}))
        core.server("session.updated", session={"id": "s"})
        core.say(Update({"speed": 1.5}))
        lose(core)
        core.clear()
        core.timer("retry")
        core.open()
        greeting, again = core.wire
        assert greeting["session"]["audio"]["output"]["voice"] == "cedar"
        assert "speed" not in greeting["session"]["audio"]["output"]
        assert again["session"] == {"type": "realtime", "audio": {"output": {"speed": 1.5}}}

    def test_the_next_incarnation_has_what_a_log_can_hold(self, drive):
        core = drive(voice="marin", speed=1.0)
        for change in (
            {"voice": "cedar", "speed": 1.2, "instructions": "new"},
            {"turn_detection": "semantic_vad"},
            {"turn_detection": ServerVad(threshold=0.3)},
        ):
            core.say(Update(change))
            core.server(
                "session.updated", session={"id": "s", "instructions": change.get("instructions", "new")}
            )
        again = drive(log=core.log, restarts=1, opened=False, voice="marin", speed=1.0)
        config = again.core.config
        assert (config.voice, config.speed, config.instructions, config.turn_detection) == (
            "cedar",
            1.2,
            "new",
            "none",
        )

    def test_what_no_longer_goes_together_is_left_out(self, drive):
        core = drive()
        core.say(Update({"input_audio_transcription": "gpt-realtime-whisper"}))
        core.server("session.updated", session={"id": "s"})
        core.say(Update({"voice": "cedar"}))
        core.server("session.updated", session={"id": "s"})
        again = drive(log=core.log, restarts=1, opened=False, turn_detection="server_vad")
        assert (again.core.config.voice, again.core.config.input_audio_transcription) == ("cedar", False)

    def test_a_change_that_timed_out_holds_nobody_up(self, drive):
        core = drive(instructions="old")
        late = core.say(UpdateInstructions("one"))
        core.timer(core.timers()[0])
        following = core.say(Update({"voice": "cedar"}))
        assert core.types() == ["session.update"] * 2
        core.server("session.updated", session={"id": "s", "instructions": "old"})
        assert following in core.resolved
        core.server("session.updated", session={"id": "s", "instructions": "one"})
        assert core.resolved[core.say(GetInstructions())] == "one"
        assert core.core.config.voice == "cedar"
        assert isinstance(core.rejected[late], CommandTimeout)
        assert late not in core.resolved

    def test_a_late_answer_does_not_come_over_another_line(self, drive):
        core = drive(instructions="old")
        core.say(UpdateInstructions("one"))
        core.timer(core.timers()[0])
        lose(core)
        come_back(core)
        core.server("session.updated", session={"id": "s", "instructions": "one"})
        assert core.core.config.instructions == "old"


class TestHeldWhileTheLineIsDown:
    def test_what_is_accepted_is_said_on_the_next_line_in_order(self, drive):
        core = drive()
        lose(core)
        tokens = [
            core.say(command)
            for command in (SendSystemText("one"), SendImage(PNG, "two"), CreateItem(assistant_text("three")))
        ]
        aside = ask_for(core, conversation="none", instructions="four")
        update = core.say(Update({"voice": "cedar"}))
        assert set(tokens) | {aside} <= set(core.resolved)
        assert update not in core.resolved
        come_back(core)
        assert core.types() == ["session.update", *[ITEM] * 3, CREATE, CREATE]
        core.server("session.updated", session={"id": "s"})
        assert update in core.resolved

    def test_so_many_and_no_more(self, drive):
        core = drive()
        lose(core)
        for _ in range(HELD_COMMANDS):
            core.say(SendSystemText("x"))
        assert core.rejected == {}
        for command in (SendText("x"), DeleteItem("x"), CreateResponse(), Update({"voice": "cedar"})):
            assert isinstance(core.rejected[core.say(command)], LineDown)
        assert core.resolved[core.say(GetHistory())]
        come_back(core)
        assert core.resolved[core.say(SendText("x"))]
        lose(core)
        assert core.resolved[core.say(SendText("y"))], "it counts anew for each outage"
