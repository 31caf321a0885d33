"""`livekit-plugins-openai`: the realtime session under LiveKit's agents, which mirrors the conversation and reconnects."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
from aiohttp import ClientSession, WSServerHandshakeError
from livekit import rtc
from livekit.agents import Agent, AgentSession, APIConnectOptions, APIError, function_tool, llm
from livekit.plugins.openai.realtime import RealtimeModel
from openai.types.realtime.realtime_audio_input_turn_detection import ServerVad

from trunkline.gateway.faults import FaultPlan, SessionExpired
from trunkline.gateway.simulator import CallTool, Fail, Gate, Hold, Say, Speak

CLIENT = "livekit-plugins-openai"
DEADLINE_S = 10.0
VAD = ServerVad(type="server_vad", silence_duration_ms=500, interrupt_response=True, create_response=True)


class Caller:
    """A program around a session, as LiveKit's own agents are one: it remembers the session's events."""

    NAMES = (
        "generation_created",
        "input_speech_started",
        "input_speech_stopped",
        "input_audio_transcription_completed",
        "session_reconnected",
        "error",
    )

    def __init__(self, session: Any) -> None:
        self.session = session
        self._incoming: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._wire: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for name in self.NAMES:
            session.on(name, lambda event, name=name: self._incoming.put_nowait((name, event)))
        session.on("openai_server_event_received", self._wire.put_nowait)

    async def until(self, name: str, *, recoverable: bool = False) -> Any:
        """Take events up to and with the next of this name, and return it; errors on the way may be recoverable."""
        async with asyncio.timeout(DEADLINE_S):
            while (event := await self._incoming.get())[0] != name:
                assert event[0] != "error" or (recoverable and event[1].recoverable), event
        return event[1]

    async def until_wire(self, type: str) -> dict[str, Any]:
        """Take the server's events up to and with the next of this type, and return it."""
        async with asyncio.timeout(DEADLINE_S):
            while (event := await self._wire.get())["type"] != type:
                pass
        return event

    async def add(self, *items: Any) -> None:
        """Add items to the conversation, and wait for the server to have them."""
        context = self.session.chat_ctx.copy()
        context.items.extend(items)
        async with asyncio.timeout(DEADLINE_S):
            await self.session.update_chat_ctx(context)

    async def say(self, text: str) -> None:
        await self.add(llm.ChatMessage(role="user", content=[text]))

    async def reply(self) -> Any:
        async with asyncio.timeout(DEADLINE_S):
            return await self.session.generate_reply()

    def push(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self.session.push_audio(rtc.AudioFrame(piece, 24_000, 1, len(piece) // 2))

    def history(self, role: str) -> list[str | None]:
        return [
            item.text_content for item in self.session.chat_ctx.items if getattr(item, "role", None) == role
        ]


async def message_of(generation: Any) -> Any:
    async with asyncio.timeout(DEADLINE_S):
        return await anext(aiter(generation.message_stream))


async def text_of(generation: Any) -> str:
    message = await message_of(generation)
    async with asyncio.timeout(DEADLINE_S):
        return "".join([piece async for piece in message.text_stream])


async def audio_of(message: Any) -> bytes:
    async with asyncio.timeout(DEADLINE_S):
        return b"".join([bytes(frame.data) async for frame in message.audio_stream])


@contextlib.asynccontextmanager
async def modelling(simulator, *, key="sk-test", retries=1, **options: Any):
    async with ClientSession() as http:
        yield RealtimeModel(
            model="gpt-realtime-2",
            base_url=simulator.url.replace("ws://", "http://").removesuffix("/realtime"),
            api_key=key,
            http_session=http,
            conn_options=APIConnectOptions(max_retry=retries, retry_interval=0.01, timeout=DEADLINE_S),
            **{"turn_detection": None, **options},
        )


@contextlib.asynccontextmanager
async def calling(simulator, *, fails=(), **options: Any):
    """Run a realtime session against the simulator; `fails` is what its end may raise."""
    async with modelling(simulator, **options) as model:
        session = model.session()
        try:
            yield Caller(session)
        finally:
            with contextlib.suppress(*fails):
                async with asyncio.timeout(DEADLINE_S):
                    await session.aclose()


@pytest.mark.flow("text")
async def test_a_text_is_answered_with_text(simulate):
    simulator = simulate([Say("The capital is Ottawa.")])
    async with calling(simulator, modalities=["text"]) as caller:
        await caller.say("What is the capital of Canada?")
        assert await text_of(await caller.reply()) == "The capital is Ottawa."
        await caller.until_wire("response.done")
        assert caller.history("user") == ["What is the capital of Canada?"]
    item = simulator.wire.sent("conversation.item.create").once()[0]
    assert item["previous_item_id"] == "root"


class Operator(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Be brief.")

    @function_tool
    async def get_weather(self, city: str) -> str:
        """The weather of a city."""
        return {"Oslo": "snow", "Rome": "sun"}[city]


async def run_agent(simulator, text: str) -> list[Any]:
    """Let LiveKit's agent session answer a text, tools and all; return what it says happened."""
    async with modelling(simulator, modalities=["text"]) as model, AgentSession(llm=model) as session:
        await session.start(Operator())
        async with asyncio.timeout(DEADLINE_S):
            result = await session.run(user_input=text)
        return [event.item for event in result.events]


@pytest.mark.flow("tool")
async def test_a_tool_is_called_and_its_output_answered(simulate):
    simulator = simulate([CallTool("get_weather", {"city": "Oslo"})], [Say("It snows in Oslo.")])
    call, output, message = await run_agent(simulator, "How is the weather in Oslo?")
    assert (call.name, json.loads(call.arguments), output.output) == ("get_weather", {"city": "Oslo"}, "snow")
    assert message.text_content == "It snows in Oslo."
    simulator.wire.sent("conversation.item.create").with_fields(item__call_id=call.call_id).once()
    simulator.wire.sent("response.create").times(2)


@pytest.mark.flow("parallel tools")
async def test_two_tools_are_called_in_one_response(simulate):
    both = [CallTool("get_weather", {"city": "Oslo"}), CallTool("get_weather", {"city": "Rome"})]
    simulator = simulate(both, [Say("Snow in Oslo, sun in Rome.")])
    *_, message = items = await run_agent(simulator, "The weather in Oslo and Rome?")
    assert sorted(item.output for item in items if item.type == "function_call_output") == ["snow", "sun"]
    assert message.text_content == "Snow in Oslo, sun in Rome."
    simulator.wire.sent("response.create").times(2)


@pytest.mark.flow("audio out")
async def test_speech_can_be_heard_and_read(simulate, words):
    simulator = simulate([Say("The capital is Ottawa.")])
    async with calling(simulator) as caller:
        await caller.say("What is the capital of Canada?")
        message = await message_of(await caller.reply())
        assert words(await audio_of(message)) == ["The", "capital", "is", "Ottawa."]
        await caller.until_wire("response.done")
        assert caller.history("assistant") == ["The capital is Ottawa."]
    simulator.wire.received("error").never()


@pytest.mark.flow("push to talk")
async def test_audio_is_committed_by_hand(simulate, spoken, words):
    simulator = simulate([Say("Good morning.")])
    async with calling(simulator) as caller:
        caller.push(spoken("hello there", silence_ms=0))
        caller.session.commit_audio()
        message = await message_of(await caller.reply())
        assert words(await audio_of(message)) == ["Good", "morning."]
        while not (heard := await caller.until("input_audio_transcription_completed")).is_final:
            pass
        assert heard.transcript == "hello there"
    simulator.wire.sent("input_audio_buffer.commit").once().before(simulator.wire.sent("response.create"))


@pytest.mark.flow("VAD")
async def test_a_turn_is_found_in_the_callers_audio(simulate, spoken, words):
    simulator = simulate([Say("Good morning.")])
    async with calling(simulator, turn_detection=VAD) as caller:
        caller.push(spoken("hello there"))
        await caller.until("input_speech_started")
        await caller.until("input_speech_stopped")
        generation = await caller.until("generation_created")
        assert not generation.user_initiated
        assert words(await audio_of(await message_of(generation))) == ["Good", "morning."]
        await caller.until_wire("response.done")
        assert caller.history("assistant") == ["Good morning."]
    simulator.wire.sent("response.create").never()


@pytest.mark.flow("barge-in")
async def test_the_caller_interrupts_and_the_rest_is_never_heard(simulate, spoken, words):
    gate = Gate()
    simulator = simulate([Speak(["one ", "two ", Hold(gate), "three"], word_ms=200)], [Say("Yes?")])
    async with calling(simulator, turn_detection=VAD) as caller:
        await caller.say("Count to three.")
        message = await message_of(await caller.reply())
        await asyncio.to_thread(gate.wait_reached)
        caller.push(spoken("stop"))
        await caller.until("input_speech_started")
        caller.session.truncate(message_id=message.message_id, modalities=["audio"], audio_end_ms=210)
        assert words(await audio_of(message)) == ["one", "two"]
        answer = await caller.until("generation_created")
        assert words(await audio_of(await message_of(answer))) == ["Yes?"]
        truncated = await caller.until_wire("conversation.item.truncated")
        assert (truncated["item_id"], truncated["audio_end_ms"]) == (message.message_id, 210)
    done = simulator.wire.received("response.done").first["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "turn_detected")
    simulator.wire.sent("response.cancel").never()
    simulator.wire.received("error").never()


@pytest.mark.flow("cancel")
async def test_a_response_is_cancelled(simulate):
    gate = Gate()
    simulator = simulate([Say(["one ", Hold(gate), "two"])], [Say("Well?")])
    async with calling(simulator, modalities=["text"]) as caller:
        generation = await caller.reply()
        await asyncio.to_thread(gate.wait_reached)
        caller.session.interrupt()
        assert await text_of(generation) == "one "
        done = await caller.until_wire("response.done")
        assert done["response"]["status_details"]["reason"] == "client_cancelled"
        assert not caller.session.has_active_generation
        assert await text_of(await caller.reply()) == "Well?"
    simulator.wire.sent("response.cancel").once()


@pytest.mark.flow("bad field")
async def test_a_bad_field_is_an_error_and_the_session_goes_on(simulate):
    simulator = simulate([Say("Still here.")])
    async with calling(simulator, modalities=["text"]) as caller:
        caller.session.update_options(speed=9)
        error = await caller.until("error")
        assert error.recoverable
        assert error.error.body.param == "session.audio.output.speed"
        assert await text_of(await caller.reply()) == "Still here."
    simulator.wire.received("error").once()


@pytest.mark.flow("failed response")
async def test_a_response_fails_and_the_session_goes_on(simulate):
    simulator = simulate([Fail("server_error", "Out of order.")], [Say("Back again.")])
    async with calling(simulator, modalities=["text"]) as caller:
        generation = await caller.reply()
        assert [message async for message in generation.message_stream] == []
        error = await caller.until("error")
        assert (error.recoverable, error.error.body.code) == (True, "server_error")
        assert await text_of(await caller.reply()) == "Back again."
    simulator.wire.received("error").never()


@pytest.mark.flow("refused key")
async def test_a_wrong_key_is_an_error_and_the_end(simulate):
    simulator = simulate(api_key="sk-right")
    async with calling(simulator, key="sk-wrong", fails=(APIError,)) as caller:
        error = await caller.until("error")
        assert (error.recoverable, error.error.body.code) == (False, "invalid_api_key")
    assert simulator.wire.received().once()[0]["error"]["code"] == "invalid_api_key"
    # It ends at the error already, with a CLOSE of its own (1000), and never looks at the one with 3000.
    assert len(simulator.wire.wait_closed()) == len(simulator.wire.handshakes()) == 1


@pytest.mark.flow("HTTP 401")
async def test_an_upgrade_is_refused(simulate):
    simulator = simulate(refuse_status=401)
    async with calling(simulator, retries=0, fails=(APIError,)) as caller:
        error = await caller.until("error")
        assert not error.recoverable
        assert isinstance(error.error.__cause__, WSServerHandshakeError)
        assert error.error.__cause__.status == 401
    assert [one.connection for one in simulator.wire.handshakes()] == [0]


@pytest.mark.flow("session expired")
async def test_an_expired_session_is_an_error_and_close_1001(simulate):
    plan = FaultPlan(SessionExpired().on("session.updated").times(1))
    simulator = simulate(faults=plan)
    async with calling(simulator) as caller:
        error = await caller.until("error")
        assert (error.recoverable, error.error.body.code) == (True, "session_expired")
    plan.verify()


@pytest.mark.flow("reconnect")
async def test_after_an_expired_session_the_client_comes_back_with_the_conversation(simulate):
    plan = FaultPlan(SessionExpired().on("rate_limits.updated").times(1))
    simulator = simulate([Say("Nice to meet you, Ada.")], [Say("Your name is Ada.")], faults=plan)
    async with calling(simulator, modalities=["text"]) as caller:
        await caller.say("My name is Ada.")
        assert await text_of(await caller.reply()) == "Nice to meet you, Ada."
        assert (await caller.until("error")).error.body.code == "session_expired"
        await caller.until("session_reconnected", recoverable=True)
        # The mirror of the conversation fills again only as the server confirms what is replayed.
        for type in (
            "session.created",
            "session.created",
            "conversation.item.added",
            "conversation.item.added",
        ):
            await caller.until_wire(type)
        await caller.say("What is my name?")
        assert await text_of(await caller.reply()) == "Your name is Ada."
        assert caller.history("user") == ["My name is Ada.", "What is my name?"]
    again = simulator.wire.sent("conversation.item.create").on_connection(2)
    assert [item["item"]["content"][0]["text"] for item in again] == [
        "My name is Ada.",
        "Nice to meet you, Ada.",
        "What is my name?",
    ]
    simulator.wire.received("error").on_connection(2).never()


@pytest.mark.flow("MCP")
@pytest.mark.refuses("the plugin sends function tools only, others it leaves out")
async def test_the_client_takes_no_hosted_tool(simulate):
    simulator = simulate()
    async with calling(simulator) as caller:
        await caller.session.update_tools([llm.ProviderTool(id="mcp")])
        await caller.until_wire("session.updated")
        await caller.until_wire("session.updated")
    assert simulator.wire.sent("session.update").last["session"]["tools"] == []


@pytest.mark.flow("out of band")
async def test_a_response_outside_the_conversation_leaves_no_trace(simulate):
    simulator = simulate([Say("A greeting.")])
    async with calling(simulator) as caller:
        response = {"conversation": "none", "metadata": {"topic": "label"}, "output_modalities": ["text"]}
        caller.session.send_event({"type": "response.create", "response": response})
        assert await text_of(await caller.until("generation_created")) == "A greeting."
        assert (await caller.until_wire("response.done"))["response"]["metadata"] == {"topic": "label"}
        assert caller.history("assistant") == []
    simulator.wire.received("conversation.item.added").never()
