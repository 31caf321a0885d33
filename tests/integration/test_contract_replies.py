"""Statements 1 and 4 of the session contract, over real sockets: one reply at a time, and everything under its own name."""

from __future__ import annotations

import json
import threading

import pytest

from trunkline import tool
from trunkline.actors.named_timers import TimerDue
from trunkline.actors.reply_gate import TIMER
from trunkline.gateway.simulator import CallTool, Gate, Hold, Say

ACTIVE = "conversation_already_has_active_response"
ECHO = pytest.mark.parametrize("echoes", [True, False], ids=["metadata comes back", "no metadata"])


def time_is_up(stage):
    """No response has begun in time: a timer, which the test need not race with."""
    stage.session.actor_ref.tell(TimerDue(TIMER))


class TestStatement01SingleFlightReplies:
    def test_a_text_is_one_item_and_one_create_and_the_answer_streams(self, simulate):
        stage, heard = simulate([Say("Ottawa it is")])
        item_id = stage.say("What's the capital of Canada?")
        turn_id = stage.events.until("assistant_turn_completed", status="completed").turn_id
        stage.quiet()
        assert stage.types() == ["conversation.item.create", "response.create"]
        item = stage.sent()[0]["item"]
        assert (item["id"], item["role"], item["content"]) == (
            item_id,
            "user",
            [{"type": "input_text", "text": "What's the capital of Canada?"}],
        )
        assert stage.events.kinds() == [
            "assistant_turn_started",
            *["assistant_text_delta"] * 3,
            "assistant_text",
            "assistant_turn_completed",
        ]
        assert stage.events.kinds(turn_id) == stage.events.kinds()
        assert heard[0].last_user_text == "What's the capital of Canada?"

    def test_asks_during_a_response_send_items_at_once_and_coalesce_into_one_create_after_it(self, simulate):
        gate = Gate()
        stage, heard = simulate([Say(["one ", Hold(gate), "two"])], [Say("all three")])
        stage.say("first")
        gate.wait_reached(10)
        for text in ("a", "b", "c"):
            stage.say(text)
        stage.quiet()
        assert stage.types() == [
            "conversation.item.create",
            "response.create",
            *["conversation.item.create"] * 3,
        ]
        gate.open()
        stage.events.until("assistant_turn_completed")
        stage.events.until("assistant_turn_completed")
        stage.quiet()
        assert stage.types()[5:] == ["response.create"]
        assert heard[1].user_texts == ["first", "a", "b", "c"]
        assert "error" not in stage.events.kinds()

    def test_the_second_create_waits_for_the_done_of_the_first_response(self, puppeteer):
        stage, puppet = puppeteer()
        puppet.shows_items = False
        stage.say("a")
        create = puppet.take("response.create")
        stage.say("b")
        stage.quiet()
        assert stage.types().count("response.create") == 1, "the first is unacknowledged"
        puppet.begin("r1", create)
        stage.quiet()
        assert stage.types().count("response.create") == 1, "the first is active"
        puppet.done("r1", create=create)
        create = puppet.take("response.create")
        puppet.begin("r2", create)
        puppet.done("r2", create=create)
        stage.quiet()
        assert stage.types().count("response.create") == 2
        assert stage.events.kinds() == ["assistant_turn_started", "assistant_turn_completed"] * 2

    def test_an_item_that_came_in_before_the_response_began_is_covered_by_it(self, puppeteer):
        stage, puppet = puppeteer()
        stage.say("a")
        create = puppet.take("response.create")
        stage.say("b")
        puppet.take("conversation.item.create")
        puppet.take("conversation.item.create")
        stage.quiet()
        puppet.begin("r1", create)
        puppet.done("r1", create=create)
        stage.quiet()
        assert stage.types().count("response.create") == 1

    @ECHO
    @pytest.mark.parametrize("names_event", [True, False])
    def test_a_race_with_the_server_s_own_response_is_settled_by_one_more_create(
        self, puppeteer, voice, echoes, names_event
    ):
        stage, puppet = puppeteer(echoes=echoes, **voice)
        puppet.shows_items = False
        stage.say("a")
        create = puppet.take("response.create")
        puppet.begin("vad")
        puppet.refuse(create["event_id"] if names_event else None, ACTIVE)
        stage.quiet()
        assert stage.types().count("response.create") == 1
        puppet.done("vad")
        again = puppet.take("response.create")
        assert again["event_id"] != create["event_id"]
        puppet.begin("r1", again)
        puppet.done("r1", create=again)
        stage.quiet()
        assert stage.types().count("response.create") == 2
        assert "error" not in stage.events.kinds()
        assert stage.events.kinds("vad") == ["assistant_turn_started", "assistant_turn_completed"]

    @ECHO
    def test_a_race_is_settled_without_a_create_when_the_server_s_response_covers_the_item(
        self, puppeteer, voice, echoes
    ):
        stage, puppet = puppeteer(echoes=echoes, **voice)
        stage.say("a")
        create = puppet.take("response.create")
        puppet.begin("vad")
        puppet.refuse(create["event_id"], ACTIVE)
        puppet.done("vad")
        stage.quiet()
        assert stage.types().count("response.create") == 1
        assert "error" not in stage.events.kinds()

    @ECHO
    def test_a_race_for_what_was_spoken_is_settled_by_the_response_that_covers_it(self, puppeteer, echoes):
        spoken = {"modalities": ["audio"], "turn_detection": "none"}
        stage, puppet = puppeteer(echoes=echoes, **spoken)
        stage.session.send_audio(bytes(9600)).get(timeout=10)
        stage.session.commit_audio().get(timeout=10)
        puppet.take("input_audio_buffer.commit")
        puppet.send("input_audio_buffer.committed", item_id="spoken")
        puppet.refuse(puppet.take("response.create")["event_id"], ACTIVE)
        puppet.begin("other")
        puppet.done("other")
        stage.quiet()
        assert stage.types().count("response.create") == 1
        assert "error" not in stage.events.kinds()

    @ECHO
    def test_the_refusal_may_come_before_the_response_is_known(self, puppeteer, voice, echoes):
        stage, puppet = puppeteer(echoes=echoes, **voice)
        puppet.shows_items = False
        stage.say("a")
        puppet.refuse(puppet.take("response.create")["event_id"], ACTIVE)
        stage.quiet()
        assert stage.types().count("response.create") == 1
        puppet.begin("vad")
        puppet.done("vad")
        again = puppet.take("response.create")
        puppet.begin("r1", again)
        puppet.done("r1", create=again)
        stage.quiet()
        assert stage.types().count("response.create") == 2
        assert "error" not in stage.events.kinds()

    def test_a_refusal_that_no_response_ever_explains_is_a_timeout_and_the_session_goes_on(self, puppeteer):
        stage, puppet = puppeteer()
        stage.say("a")
        puppet.refuse(puppet.take("response.create")["event_id"], ACTIVE)
        stage.quiet()
        time_is_up(stage)
        stage.events.until("error", code="response_timeout", recoverable=True)
        stage.say("b")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        puppet.done("r1", create=create)
        stage.events.until("assistant_turn_completed", turn_id="r1")

    def test_a_server_s_own_response_that_is_over_before_our_create_arrives_costs_no_second_answer(
        self, puppeteer, voice
    ):
        stage, puppet = puppeteer(**voice)
        stage.say("hello")
        create = puppet.take("response.create")
        puppet.begin("r0", create)  # from here on it is known that this provider gives metadata back
        puppet.done("r0", create=create)
        stage.say("a")
        create = puppet.take("response.create")
        puppet.begin("vad")
        puppet.done("vad")
        stage.say("b")
        stage.quiet()
        assert stage.types().count("response.create") == 2, "a's create is still unacknowledged"
        puppet.begin("r1", create)
        puppet.done("r1", create=create)
        stage.quiet()
        assert stage.types().count("response.create") == 2, "b was in the conversation when r1 began"
        assert "error" not in stage.events.kinds()

    @ECHO
    def test_silence_is_a_recoverable_error_and_a_late_response_is_cancelled_by_id_and_hidden(
        self, puppeteer, echoes
    ):
        stage, puppet = puppeteer(echoes=echoes, response_timeout_s=0.1)
        stage.say("a")
        create = puppet.take("response.create")
        error = stage.events.until("error")
        assert (error.code, error.recoverable, error.event_id) == (
            "response_timeout",
            True,
            create["event_id"],
        )
        puppet.begin("late", create)
        puppet.delta("late", "never shown")
        assert puppet.take("response.cancel")["response_id"] == "late"
        puppet.text_done("late", "never shown")
        puppet.done("late", "cancelled", create=create)
        stage.quiet()
        assert stage.events.kinds() == ["error"]
        assert stage.types() == ["conversation.item.create", "response.create", "response.cancel"]

    @ECHO
    def test_after_a_late_response_the_next_ask_is_answered_as_ever(self, puppeteer, echoes):
        stage, puppet = puppeteer(echoes=echoes)
        stage.say("a")
        create = puppet.take("response.create")
        time_is_up(stage)
        stage.events.until("error", code="response_timeout")
        puppet.begin("late", create)
        puppet.take("response.cancel")
        puppet.done("late", "cancelled", create=create)
        stage.say("b")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        puppet.done("r1", create=create)
        stage.events.until("assistant_turn_completed", turn_id="r1", status="completed")

    @ECHO
    def test_a_refusal_after_the_timeout_does_not_cost_the_next_answer(self, puppeteer, echoes):
        stage, puppet = puppeteer(echoes=echoes)
        stage.say("a")
        late = puppet.take("response.create")
        time_is_up(stage)
        stage.events.until("error", code="response_timeout")
        puppet.refuse(late["event_id"], "server_error")
        stage.events.until("error", code="server_error", event_id=late["event_id"])
        stage.say("b")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        puppet.done("r1", create=create)
        stage.events.until("assistant_turn_completed", turn_id="r1", status="completed")
        assert "response.cancel" not in stage.types()

    def test_a_create_that_the_server_lost_does_not_cost_the_next_answer(self, puppeteer):
        stage, puppet = puppeteer()
        stage.say("a")
        puppet.take("response.create")
        time_is_up(stage)
        stage.events.until("error", code="response_timeout")
        stage.say("b")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        puppet.done("r1", create=create)
        stage.events.until("assistant_turn_completed", turn_id="r1", status="completed")
        assert "response.cancel" not in stage.types()

    @ECHO
    def test_a_response_done_that_no_created_announced_answers_the_create(self, puppeteer, echoes):
        stage, puppet = puppeteer(echoes=echoes, response_timeout_s=10.0)
        stage.say("a")
        create = puppet.take("response.create")
        puppet.done("r1", create=create)
        completed = stage.events.until("assistant_turn_completed")
        assert (completed.turn_id, completed.status) == ("r1", "completed")
        stage.say("b")
        create = puppet.take("response.create")
        puppet.begin("r2", create)
        puppet.done("r2", create=create)
        stage.events.until("assistant_turn_completed", turn_id="r2", status="completed")
        assert "error" not in stage.events.kinds()
        assert "response.cancel" not in stage.types()

    def test_a_refused_create_is_an_error_that_names_it_and_the_next_ask_goes_on(self, puppeteer):
        stage, puppet = puppeteer()
        stage.say("a")
        create = puppet.take("response.create")
        puppet.refuse(create["event_id"], "invalid_value", param="response")
        error = stage.events.until("error")
        assert (error.code, error.param, error.event_id) == ("invalid_value", "response", create["event_id"])
        stage.say("b")
        puppet.take("response.create")

    def test_two_threads_never_send_a_create_without_its_item_and_every_item_is_answered(self, simulate):
        stage, heard = simulate()
        said: list[list[str]] = [[], []]

        def talk(mine: list[str]) -> None:
            for number in range(50):
                mine.append(stage.session.send_text(f"text {number}").get(timeout=10))

        threads = [threading.Thread(target=talk, args=(mine,)) for mine in said]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        while not heard or len(heard[-1].user_texts) < 100:
            stage.events.until("assistant_turn_completed")
        while len(stage.events.of("assistant_turn_completed")) < len(heard):
            stage.events.until("assistant_turn_completed")
        stage.quiet()
        frames = stage.sent()
        items = [frame["item"]["id"] for frame in frames if "item" in frame]
        assert sorted(items) == sorted(said[0] + said[1])
        for mine in said:
            assert [item for item in items if item in set(mine)] == mine, "each thread's order is kept"
        waiting = 0
        for frame in frames:
            if frame["type"] == "conversation.item.create":
                waiting += 1
            else:
                assert waiting, "a create without an item"
                waiting = 0
        assert len(stage.events.of("assistant_turn_completed")) == stage.types().count("response.create")
        assert "error" not in stage.events.kinds()


class TestStatement04Identity:
    def test_tools_of_one_response_run_while_another_streams_and_their_outputs_wait_for_it(self, simulate):
        release, gate = threading.Event(), Gate()

        @tool
        def slow() -> str:
            """Be slow."""
            release.wait(10)
            return "at last"

        stage, heard = simulate(
            [CallTool("slow", {}, call_id="c1")], [Say(["two ", Hold(gate), "more"])], tools=[slow]
        )
        stage.say("first")
        r1 = stage.events.until("tool_call_dispatched", call_id="c1").turn_id
        stage.say("second")
        r2 = stage.events.until("assistant_text_delta", delta="two ").turn_id
        release.set()
        stage.events.until("tool_batch_submitted", turn_id=r1)
        stage.quiet()
        assert stage.types()[-1] == "conversation.item.create"
        assert stage.types().count("response.create") == 2, "the outputs' create waits for r2"
        gate.open()
        stage.events.until("assistant_turn_completed", turn_id=r2)
        r3 = stage.events.until("assistant_turn_completed").turn_id
        stage.quiet()
        assert stage.types().count("response.create") == 3
        assert len({r1, r2, r3}) == 3
        assert "at last" in [item.get("output") for item in heard[2].items]
        assert stage.events.kinds(r1) == [
            "assistant_turn_started",
            "tool_call_started",
            "tool_call_args_delta",
            "assistant_turn_completed",
            "tool_call_dispatched",
            "tool_call_completed",
            "tool_batch_submitted",
        ]
        assert stage.events.kinds(r2) == [
            "assistant_turn_started",
            "assistant_text_delta",
            "assistant_text_delta",
            "assistant_text",
            "assistant_turn_completed",
        ]
        assert "error" not in stage.events.kinds()

    def test_an_out_of_band_response_touches_nothing_else(self, simulate):
        gate = Gate()
        stage, _ = simulate([Say("hello")], [Say(["one ", Hold(gate), "two"])])
        stage.say("hi")
        stage.events.until("assistant_turn_completed")
        stage.say("first")
        r2 = stage.events.until("assistant_text_delta", delta="one ").turn_id
        stage.say("waits for r2")
        aside = {"id": "oob", "object": "realtime.response", "output": [], "metadata": None}

        def inject(type: str, **fields: object) -> None:
            stage.server.inject(json.dumps({"type": type, "event_id": "x", **fields}))

        inject("response.created", response={**aside, "status": "in_progress"})
        inject("response.output_text.delta", response_id="oob", item_id="i", delta="aside")
        inject("response.done", response={**aside, "status": "completed"})
        stage.quiet()
        assert stage.types().count("response.create") == 2
        assert stage.events.kinds("oob") == [
            "assistant_turn_started",
            "assistant_text_delta",
            "assistant_turn_completed",
        ]
        gate.open()
        assert stage.events.until("assistant_text_delta", delta="two").turn_id == r2
        stage.events.until("assistant_turn_completed", turn_id=r2)
        stage.events.until("assistant_turn_completed")
        stage.quiet()
        assert stage.types().count("response.create") == 3

    def test_three_at_once_each_event_names_its_own_and_an_end_is_the_end_of_one(self, puppeteer):
        release, running = threading.Event(), threading.Event()

        @tool
        def slow() -> str:
            """Be slow."""
            running.set()
            release.wait(10)
            return "at last"

        stage, puppet = puppeteer(tools=[slow])
        stage.say("first")
        first = puppet.take("response.create")
        puppet.begin("r1", first)
        puppet.call("r1", "c1", "slow")
        puppet.done("r1", create=first)
        assert running.wait(10)
        stage.say("second")
        second = puppet.take("response.create")
        puppet.begin("r2", second)
        puppet.begin("r3", conversation_id=None)
        puppet.delta("r2", "two ")
        puppet.delta("r3", "aside")
        puppet.done("r3", conversation_id=None)
        puppet.delta("r2", "goes on")
        release.set()
        stage.events.until("tool_batch_submitted", turn_id="r1")
        stage.quiet()
        assert stage.types().count("response.create") == 2, "r1's outputs wait for r2, whatever became of r3"
        puppet.done("r2", create=second)
        puppet.take("response.create")
        stage.quiet()
        assert stage.events.kinds("r1") == [
            "assistant_turn_started",
            "tool_call_started",
            "assistant_turn_completed",
            "tool_call_dispatched",
            "tool_call_completed",
            "tool_batch_submitted",
        ]
        told = [(e.turn_id, getattr(e, "delta", "")) for e in stage.events.seen if hasattr(e, "turn_id")]
        assert [one for one in told if one[0] == "r2"] == [
            ("r2", ""),
            ("r2", "two "),
            ("r2", "goes on"),
            ("r2", ""),
        ]
        assert [one for one in told if one[0] == "r3"] == [("r3", ""), ("r3", "aside"), ("r3", "")]
        assert stage.outputs() == [("c1", "at last")]
        assert stage.types().count("response.create") == 3
        assert stage.events.of("error") == []

    def test_interrupting_the_second_response_cancels_the_first_one_s_tools(self, simulate):
        running, told, gate = threading.Event(), threading.Event(), Gate()

        @tool
        def patient(ctx) -> str:
            """Wait to be told."""
            running.set()
            ctx.wait_cancelled(10)
            told.set()
            return "too late"

        stage, _ = simulate([CallTool("patient", {})], [Say(["two ", Hold(gate)])], tools=[patient])
        stage.say("first")
        r1 = stage.events.until("tool_call_dispatched").turn_id
        assert running.wait(10)
        stage.say("second")
        r2 = stage.events.until("assistant_text_delta").turn_id
        stage.interrupt()
        assert told.wait(10)
        stage.events.until("assistant_turn_completed", turn_id=r2, status="cancelled")
        stage.quiet()
        assert sorted(event.turn_id for event in stage.events.of("interrupted")) == sorted([r1, r2])
        assert [frame["response_id"] for frame in stage.sent("response.cancel")] == [r2]
        assert stage.outputs() == []
        assert stage.types().count("response.create") == 2

    @pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
    def test_a_second_response_done_changes_nothing(self, puppeteer, status):
        @tool
        def look() -> str:
            """Look."""
            return "seen"

        stage, puppet = puppeteer(tools=[look])
        stage.say("a")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        call = puppet.call("r1", "c1", "look")
        puppet.done("r1", create=create, output=[call])
        after = puppet.take("response.create")
        stage.quiet()
        before = (stage.sent(), list(stage.events.seen))
        puppet.done("r1", status, create=create, output=[call])
        stage.quiet()
        assert (stage.sent(), stage.events.seen) == before
        puppet.begin("r2", after)
        puppet.done("r1", status, create=create, output=[call])
        puppet.delta("r2", "goes on")
        stage.events.until("assistant_text_delta", turn_id="r2", delta="goes on")
        assert stage.outputs() == [("c1", "seen")]

    def test_the_end_of_a_response_nobody_heard_of_leaves_the_one_in_the_making_alone(self, puppeteer):
        stage, puppet = puppeteer()
        stage.say("a")
        create = puppet.take("response.create")
        puppet.begin("r1", create)
        puppet.delta("r1", "it ")
        puppet.done("unheard_of")
        stage.say("b")
        puppet.delta("r1", "goes on")
        stage.events.until("assistant_text_delta", turn_id="r1", delta="goes on")
        stage.quiet()
        assert stage.types().count("response.create") == 1
        puppet.done("r1", create=create)
        stage.events.until("assistant_turn_completed", turn_id="r1")
        after = puppet.take("response.create")
        puppet.begin("r2", after)
        puppet.done("r2", create=after)
        stage.events.until("assistant_turn_completed", turn_id="r2")
        stage.quiet()
        assert stage.types().count("response.create") == 2
        assert stage.events.of("error") == []

    def test_what_belongs_to_no_known_response_reaches_nobody(self, puppeteer):
        stage, puppet = puppeteer()
        puppet.delta("nobody", "lost")
        puppet.text_done("nobody", "lost")
        stage.quiet()
        assert stage.events.kinds() == []
