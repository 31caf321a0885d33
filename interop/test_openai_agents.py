"""`openai-agents`: its realtime runner, which keeps the history, runs the tools and stops the sound by itself."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import Any

import pytest
from agents import UserError, function_tool
from agents.realtime import (
    RealtimeAgent,
    RealtimeModelSendRawMessage,
    RealtimePlaybackTracker,
    RealtimeRunner,
    RealtimeSession,
)
from agents.tool import HostedMCPTool
from websockets.exceptions import ConnectionClosed, InvalidStatus

from trunkline.gateway.simulator import CallTool, Fail, FunctionBrain, Gate, Hold, Say, Speak

CLIENT = "openai-agents"
DEADLINE_S = 10.0
TEXT: dict[str, Any] = {"output_modalities": ["text"]}
PUSH_TO_TALK: dict[str, Any] = {"turn_detection": None}


class Caller:
    """A program around a session: it remembers the session's events, and the server's events among them."""

    def __init__(self, session: RealtimeSession) -> None:
        self.session = session
        self.events: list[Any] = []
        self._incoming = aiter(session)

    async def next(self) -> Any:
        async with asyncio.timeout(DEADLINE_S):
            event = await anext(self._incoming)
        self.events.append(event)
        return event

    async def until(self, type: str) -> Any:
        """Receive up to and with the next event of the session of this type, and return it."""
        while (event := await self.next()).type != type:
            assert event.type != "error", event.error
        return event

    async def until_wire(self, type: str) -> dict[str, Any]:
        """Receive up to and with the next event of the server of this type, and return it."""
        while (data := _on_the_wire((await self.until("raw_model_event")).data)).get("type") != type:
            pass
        return data

    async def rest(self) -> list[Any]:
        """Receive all there is until the session ends."""
        async with asyncio.timeout(DEADLINE_S):
            return [event async for event in self._incoming]

    def of(self, type: str) -> list[Any]:
        return [event for event in self.events if event.type == type]

    def audio(self) -> bytes:
        return b"".join(event.audio.data for event in self.of("audio"))

    def history(self, role: str) -> list[str]:
        """Return what somebody said, as the session's own history has it."""
        history = self.of("history_updated")[-1].history
        messages = [item for item in history if item.type == "message" and item.role == role]
        return [
            " ".join(
                getattr(part, "text", None) or getattr(part, "transcript", None) or ""
                for part in item.content
            )
            for item in messages
        ]

    async def send(self, type: str, **fields: Any) -> None:
        await self.session.model.send_event(RealtimeModelSendRawMessage({"type": type, "other_data": fields}))


def _on_the_wire(event: Any) -> dict[str, Any]:
    return event.data if event.type == "raw_server_event" else {}


@asynccontextmanager
async def calling(simulator, *, tools=(), key="sk-test", tracker=None, **settings: Any):
    """Run an agent against the simulator."""
    agent = RealtimeAgent(name="operator", instructions="Be brief.", tools=list(tools))
    config: dict[str, Any] = {
        "url": f"{simulator.url}?model=gpt-realtime-2",
        "api_key": key,
        "initial_model_settings": {"model_name": "gpt-realtime-2", **settings},
    }
    if tracker is not None:
        config["playback_tracker"] = tracker
    async with await RealtimeRunner(agent).run(model_config=config) as session:
        yield Caller(session)


@function_tool
async def get_weather(city: str) -> str:
    """The weather of a city."""
    return {"Oslo": "snow", "Rome": "sun"}[city]


@pytest.mark.flow("text")
async def test_a_text_is_answered_with_text(simulate):
    simulator = simulate([Say("The capital is Ottawa.")])
    async with calling(simulator, **TEXT) as caller:
        await caller.session.send_message("What is the capital of Canada?")
        await caller.until("agent_end")
        assert caller.history("user") == ["What is the capital of Canada?"]
        assert caller.history("assistant") == ["The capital is Ottawa."]
    updated = simulator.wire.received("session.updated").first["session"]
    assert (updated["instructions"], updated["output_modalities"]) == ("Be brief.", ["text"])


@pytest.mark.flow("tool")
async def test_a_tool_is_called_and_its_output_answered(simulate):
    simulator = simulate([CallTool("get_weather", {"city": "Oslo"})], [Say("It snows in Oslo.")])
    async with calling(simulator, tools=[get_weather], **TEXT) as caller:
        await caller.session.send_message("How is the weather in Oslo?")
        assert json.loads((await caller.until("tool_start")).arguments) == {"city": "Oslo"}
        assert (await caller.until("tool_end")).output == "snow"
        while not caller.of("history_updated") or "It snows in Oslo." not in caller.history("assistant"):
            await caller.next()
    call = simulator.wire.received("response.function_call_arguments.done").once()[0]
    output = (
        simulator.wire.sent("conversation.item.create").with_fields(item__call_id=call["call_id"]).once()[0]
    )
    assert output["item"]["output"] == "snow"
    simulator.wire.sent("response.create").times(2)


@pytest.mark.flow("parallel tools")
async def test_two_tools_are_called_in_one_response(simulate):
    def answer(conversation):
        # Whether it asks once for both outputs or after each of them is the client's business.
        outputs = [item["output"] for item in conversation.items if item["type"] == "function_call_output"]
        if not outputs:
            return [CallTool("get_weather", {"city": "Oslo"}), CallTool("get_weather", {"city": "Rome"})]
        return [Say(" and ".join(sorted(outputs)))]

    both_run = asyncio.Barrier(2)

    @function_tool(name_override="get_weather")
    async def weather(city: str) -> str:
        async with asyncio.timeout(DEADLINE_S):
            await both_run.wait()
        return {"Oslo": "snow", "Rome": "sun"}[city]

    simulator = simulate(brain=FunctionBrain(answer))
    async with calling(simulator, tools=[weather], **TEXT) as caller:
        await caller.session.send_message("The weather in Oslo and Rome?")
        while not caller.of("history_updated") or "snow and sun" not in caller.history("assistant"):
            await caller.next()
        assert sorted(event.output for event in caller.of("tool_end")) == ["snow", "sun"]
    calls = simulator.wire.received("response.function_call_arguments.done").times(2)
    for call in calls:
        simulator.wire.sent("conversation.item.create").with_fields(item__call_id=call["call_id"]).once()


@pytest.mark.flow("audio out")
async def test_speech_can_be_heard_and_read(simulate, words):
    simulator = simulate([Say("The capital is Ottawa.")])
    async with calling(simulator) as caller:
        await caller.session.send_message("What is the capital of Canada?")
        await caller.until("audio_end")
        await caller.until("agent_end")
        assert words(caller.audio()) == ["The", "capital", "is", "Ottawa."]
        assert caller.history("assistant") == ["The capital is Ottawa."]
    assert simulator.wire.received("session.updated").first["session"]["audio"]["output"]["voice"] == "ash"


@pytest.mark.flow("push to talk")
async def test_audio_is_committed_by_hand(simulate, spoken, words):
    simulator = simulate([Say("Good morning.")])
    async with calling(simulator, **PUSH_TO_TALK) as caller:
        *pieces, last = spoken("hello there", silence_ms=0)
        for piece in pieces:
            await caller.session.send_audio(piece)
        await caller.session.send_audio(last, commit=True)
        await caller.send("response.create")
        await caller.until("agent_end")
        assert words(caller.audio()) == ["Good", "morning."]
        assert (caller.history("user"), caller.history("assistant")) == (["hello there"], ["Good morning."])
    simulator.wire.sent("input_audio_buffer.commit").once().before(simulator.wire.sent("response.create"))
    simulator.wire.received("input_audio_buffer.speech_started").never()


@pytest.mark.flow("VAD")
async def test_a_turn_is_found_in_the_callers_audio(simulate, spoken, words):
    simulator = simulate([Say("Good morning.")])
    vad = {"type": "server_vad", "silence_duration_ms": 500, "interrupt_response": True}
    async with calling(simulator, turn_detection=vad) as caller:
        for piece in spoken("hello there"):
            await caller.session.send_audio(piece)
        await caller.until("agent_end")
        assert words(caller.audio()) == ["Good", "morning."]
        assert (caller.history("user"), caller.history("assistant")) == (["hello there"], ["Good morning."])
    started = simulator.wire.received("input_audio_buffer.speech_started").once()
    started.before(simulator.wire.received("input_audio_buffer.speech_stopped").once())
    simulator.wire.sent("response.create").never()


@pytest.mark.flow("barge-in")
async def test_the_caller_interrupts_and_the_rest_is_never_heard(simulate, spoken, words):
    """With the runner's own settings: semantic VAD, and `interrupt_response`."""
    gate = Gate()
    simulator = simulate([Speak(["one ", "two ", Hold(gate), "three"], word_ms=200)], [Say("Yes?")])
    tracker = RealtimePlaybackTracker()
    async with calling(simulator, tracker=tracker) as caller:
        await caller.session.send_message("Count to three.")
        while len(caller.of("audio")) < 2:
            event = await caller.until("audio")
        tracker.on_play_ms(event.item_id, event.content_index, 210)
        await asyncio.to_thread(gate.wait_reached)
        for piece in spoken("stop."):
            await caller.session.send_audio(piece)
        interrupted = await caller.until("audio_interrupted")
        assert (interrupted.item_id, words(caller.audio())) == (event.item_id, ["one", "two"])
        while caller.history("assistant")[-1] != "Yes?" or len(words(caller.audio())) < 3:
            await caller.next()
        assert words(caller.audio()) == ["one", "two", "Yes?"]
        await asyncio.to_thread(simulator.wire.wait_received, "conversation.item.truncated")
    truncate = simulator.wire.sent("conversation.item.truncate").once()[0]
    assert (truncate["item_id"], truncate["audio_end_ms"]) == (event.item_id, 210)
    done = simulator.wire.received("response.done").first["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "turn_detected")
    simulator.wire.sent("response.cancel").never()
    simulator.wire.received("error").never()


@pytest.mark.flow("cancel")
async def test_a_response_is_cancelled(simulate):
    gate = Gate()
    simulator = simulate([Say(["one ", Hold(gate), "two"])], [Say("Well?")])
    async with calling(simulator, **TEXT, **PUSH_TO_TALK) as caller:
        await caller.session.send_message("Count to two.")
        await caller.until_wire("response.output_text.delta")
        await asyncio.to_thread(gate.wait_reached)
        await caller.session.interrupt()
        await caller.until("agent_end")
        assert caller.history("assistant") == ["one "]
        await caller.session.send_message("Go on.")
        await caller.until("agent_end")
        assert caller.history("assistant") == ["one ", "Well?"]
    simulator.wire.sent("response.cancel").once()
    done = simulator.wire.received("response.done").first["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")


@pytest.mark.flow("bad field")
async def test_a_bad_field_is_an_error_and_the_session_goes_on(simulate):
    simulator = simulate([Say("Still here.")])
    async with calling(simulator, **TEXT) as caller:
        await caller.send("session.update", session={"type": "realtime", "audio": {"output": {"speed": 9}}})
        while (event := await caller.next()).type != "error":
            pass
        assert (event.error.type, event.error.param) == (
            "invalid_request_error",
            "session.audio.output.speed",
        )
        await caller.session.send_message("Are you there?")
        await caller.until("agent_end")
        assert caller.history("assistant") == ["Still here."]
    simulator.wire.received("error").once()


@pytest.mark.flow("failed response")
async def test_a_response_fails_and_the_session_goes_on(simulate):
    simulator = simulate([Fail("server_error", "Out of order.")], [Say("Back again.")])
    async with calling(simulator, **TEXT) as caller:
        await caller.session.send_message("Hello?")
        failed = (await caller.until_wire("response.done"))["response"]
        assert (failed["status"], failed["status_details"]["error"]["code"]) == ("failed", "server_error")
        await caller.until("agent_end")
        await caller.session.send_message("Hello?")
        await caller.until("agent_end")
        assert caller.history("assistant") == ["Back again."]
    simulator.wire.received("error").never()


@pytest.mark.flow("refused key")
async def test_a_wrong_key_is_an_error_and_close_3000(simulate):
    simulator = simulate(api_key="sk-right")
    with pytest.raises(ConnectionClosed) as closed:
        # Already its first session.update may find the connection closed.
        async with calling(simulator, key="sk-wrong") as caller:
            await caller.rest()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
        3000,
        "invalid_request_error.invalid_api_key",
    )
    assert simulator.wire.received().once()[0]["error"]["code"] == "invalid_api_key"


@pytest.mark.flow("HTTP 401")
async def test_an_upgrade_is_refused(simulate):
    simulator = simulate(refuse_status=401)
    with pytest.raises(InvalidStatus) as refused:
        async with calling(simulator):
            pass
    assert refused.value.response.status_code == 401
    assert [one.connection for one in simulator.wire.handshakes()] == [0]


@pytest.mark.flow("session expired")
async def test_an_expired_session_is_an_error_and_the_end(simulate):
    simulator = simulate(session_max_age_s=0.2)
    async with calling(simulator) as caller:
        errors = [event.error.code for event in await caller.rest() if event.type == "error"]
        assert errors == ["session_expired"]
    assert [one.code for one in simulator.wire.wait_closed()] == [1001]


@pytest.mark.flow("reconnect")
@pytest.mark.refuses("a session ends with its connection; the runner has no reconnecting")
async def test_the_client_does_not_come_back(simulate):
    simulator = simulate()
    async with calling(simulator) as caller:
        await caller.until_wire("session.updated")
        simulator.close_all(1001)
        await caller.rest()
        with pytest.raises(ConnectionClosed):
            await caller.session.send_message("Are you there?")
    assert len(simulator.wire.handshakes()) == 1


@pytest.mark.flow("MCP")
@pytest.mark.refuses("the runner takes function tools only ('Must be a function tool')")
async def test_the_client_takes_no_hosted_tool(simulate):
    simulator = simulate()
    docs = HostedMCPTool({"type": "mcp", "server_label": "docs", "server_url": "https://docs.example/mcp"})
    with pytest.raises(UserError, match="Must be a function tool"):
        async with calling(simulator, tools=[docs]):
            pass
    simulator.wire.sent("session.update").never()


@pytest.mark.flow("out of band")
async def test_a_response_outside_the_conversation_leaves_no_trace(simulate):
    simulator = simulate([Say("A greeting.")])
    async with calling(simulator) as caller:
        response = {"conversation": "none", "metadata": {"topic": "label"}, "output_modalities": ["text"]}
        await caller.send("response.create", response=response)
        done = (await caller.until_wire("response.done"))["response"]
        assert (done["metadata"], done["output"][0]["content"][0]["text"]) == (
            {"topic": "label"},
            "A greeting.",
        )
        await caller.until("agent_end")
    simulator.wire.received("conversation.item.added").never()
