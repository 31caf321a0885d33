"""`pipecat-ai`: its realtime service in a pipeline, between the aggregators that keep the context."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    ErrorFrame,
    Frame,
    FunctionCallResultFrame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMMessagesAppendFrame,
    LLMRunFrame,
    LLMTextFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    StartFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner

from trunkline.gateway.simulator import (
    CallTool,
    Fail,
    Gate,
    Hold,
    Say,
    Speak,
)

CLIENT = "pipecat-ai"
DEADLINE_S = 10.0


class Tap(FrameProcessor):
    """Notes what passes in one direction, and passes everything on."""

    def __init__(self, queue: asyncio.Queue[Frame], direction: FrameDirection) -> None:
        super().__init__(enable_direct_mode=True)
        self._noted = queue
        self._direction_noted = direction

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction == self._direction_noted:
            self._noted.put_nowait(frame)
        await self.push_frame(frame, direction)


class Caller:
    """A pipeline around the service: it remembers the frames that left the service on either side."""

    def __init__(
        self, worker: PipelineWorker, llm: OpenAIRealtimeLLMService, incoming: asyncio.Queue[Frame]
    ) -> None:
        self.worker = worker
        self.llm = llm
        self.frames: list[Frame] = []
        self._incoming = incoming

    async def until(self, type: type[Frame]) -> Any:
        """Take frames up to and with the next of this type, and return it."""
        async with asyncio.timeout(DEADLINE_S):
            while not isinstance(frame := await self._incoming.get(), type):
                assert not isinstance(frame, ErrorFrame), frame
                self.frames.append(frame)
        self.frames.append(frame)
        return frame

    def of(self, type: type[Frame]) -> list[Any]:
        return [frame for frame in self.frames if isinstance(frame, type)]

    async def send(self, *frames: Frame) -> None:
        for frame in frames:
            await self.worker.queue_frame(frame)

    async def push(self, pieces: list[bytes]) -> None:
        await self.send(
            *(InputAudioRawFrame(audio=piece, sample_rate=24_000, num_channels=1) for piece in pieces)
        )

    async def say(self, text: str) -> None:
        """Add to the conversation, behind what the user's aggregator does, and have it answered."""
        await self.llm.queue_frame(LLMMessagesAppendFrame(asking(text), run_llm=True))

    async def has_played(self) -> None:
        """Say, as an output transport does, that all the audio was heard."""
        await self.llm.queue_frame(BotStoppedSpeakingFrame(), FrameDirection.UPSTREAM)

    def text(self) -> str:
        return "".join(frame.text for frame in self.of(LLMTextFrame))

    def audio(self) -> bytes:
        return b"".join(frame.audio for frame in self.of(TTSAudioRawFrame))


def asking(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def listening(**settings: Any) -> events.AudioConfiguration:
    transcription = events.InputAudioTranscription("whisper-1")
    detection = {"turn_detection": events.TurnDetection(), **settings}
    return events.AudioConfiguration(input=events.AudioInput(transcription=transcription, **detection))


@contextlib.asynccontextmanager
async def calling(
    simulator, *, messages=(), tools=(), hosted=None, key="sk-test", starts=True, **session: Any
):
    """Run a pipeline against the simulator."""
    properties = events.SessionProperties(tools=hosted, **session)
    llm = OpenAIRealtimeLLMService(
        api_key=key,
        base_url=simulator.url,
        settings=OpenAIRealtimeLLMService.Settings(model="gpt-realtime-2", session_properties=properties),
    )
    context = LLMContext(list(messages), ToolsSchema(standard_tools=list(tools)))
    aggregators = LLMContextAggregatorPair(context)
    incoming: asyncio.Queue[Frame] = asyncio.Queue()
    up, down = Tap(incoming, FrameDirection.UPSTREAM), Tap(incoming, FrameDirection.DOWNSTREAM)
    pipeline = Pipeline([aggregators.user(), up, llm, down, aggregators.assistant()])
    worker = PipelineWorker(pipeline, cancel_on_idle_timeout=False, enable_rtvi=False)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    caller = Caller(worker, llm, incoming)
    try:
        if starts:
            await caller.until(StartFrame)
        yield caller
    finally:
        async with asyncio.timeout(DEADLINE_S):
            await worker.cancel()
            await running


@pytest.mark.flow("text")
async def test_a_text_is_answered_with_text(simulate):
    simulator = simulate([Say("The capital is Ottawa.")])
    messages = asking("What is the capital of Canada?")
    async with calling(simulator, messages=messages, output_modalities=["text"]) as caller:
        await caller.send(LLMRunFrame())
        await caller.until(LLMFullResponseEndFrame)
        assert caller.text() == "The capital is Ottawa."
    item = simulator.wire.sent("conversation.item.create").once()[0]["item"]
    assert item["content"][0]["text"] == "What is the capital of Canada?"


async def get_weather(params: FunctionCallParams, city: str) -> None:
    """The weather of a city.

    Args:
        city: Its name.
    """
    await params.result_callback({"Oslo": "snow", "Rome": "sun"}[city])


@pytest.mark.flow("tool")
async def test_a_tool_is_called_and_its_output_answered(simulate):
    simulator = simulate([CallTool("get_weather", {"city": "Oslo"})], [Say("It snows in Oslo.")])
    messages = asking("How is the weather in Oslo?")
    async with calling(
        simulator, messages=messages, tools=[get_weather], output_modalities=["text"]
    ) as caller:
        await caller.send(LLMRunFrame())
        result = await caller.until(FunctionCallResultFrame)
        assert (result.function_name, result.arguments, result.result) == (
            "get_weather",
            {"city": "Oslo"},
            "snow",
        )
        while caller.text() != "It snows in Oslo.":
            await caller.until(LLMTextFrame)
    output = (
        simulator.wire.sent("conversation.item.create").with_fields(item__call_id=result.tool_call_id).once()
    )
    assert "snow" in output[0]["item"]["output"]
    simulator.wire.sent("response.create").times(2)


@pytest.mark.flow("parallel tools")
async def test_two_tools_are_called_in_one_response(simulate):
    """The response ends after both outputs: one that comes between `response.create` and `response.created` is forgotten."""
    gate = Gate()
    both = [CallTool("get_weather", {"city": "Oslo"}), CallTool("get_weather", {"city": "Rome"}), Hold(gate)]
    simulator = simulate(both, [Say("Snow in Oslo, sun in Rome.")])
    messages = asking("The weather in Oslo and Rome?")
    async with calling(
        simulator, messages=messages, tools=[get_weather], output_modalities=["text"]
    ) as caller:
        await caller.send(LLMRunFrame())
        await asyncio.to_thread(
            simulator.wire.wait_sent, "conversation.item.create", 2, item__type="function_call_output"
        )
        gate.open()
        while caller.text() != "Snow in Oslo, sun in Rome.":
            await caller.until(LLMTextFrame)
        assert {frame.result for frame in caller.of(FunctionCallResultFrame)} == {"snow", "sun"}
    for call in simulator.wire.received("response.function_call_arguments.done").times(2):
        simulator.wire.sent("conversation.item.create").with_fields(item__call_id=call["call_id"]).once()
    simulator.wire.sent("response.create").times(2)


@pytest.mark.flow("audio out")
async def test_speech_can_be_heard_and_read(simulate, words):
    simulator = simulate([Say("The capital is Ottawa.")])
    async with calling(simulator, messages=asking("What is the capital of Canada?")) as caller:
        await caller.send(LLMRunFrame())
        await caller.until(TTSStoppedFrame)
        assert words(caller.audio()) == ["The", "capital", "is", "Ottawa."]
        assert "".join(frame.text for frame in caller.of(TTSTextFrame)) == "The capital is Ottawa."
    simulator.wire.sent("response.create").once()


@pytest.mark.flow("push to talk")
async def test_audio_is_committed_by_hand(simulate, spoken, words):
    simulator = simulate([Say("Hello.")], [Say("Good morning.")])
    async with calling(
        simulator, messages=asking("Greet me."), audio=listening(turn_detection=False)
    ) as caller:
        await caller.send(LLMRunFrame())
        await caller.until(TTSStoppedFrame)
        await caller.has_played()
        await caller.send(UserStartedSpeakingFrame())
        await caller.push(spoken("hello there", silence_ms=0))
        await caller.send(UserStoppedSpeakingFrame())
        await caller.until(TTSStoppedFrame)
        assert words(caller.audio()) == ["Hello.", "Good", "morning."]
        assert [frame.text for frame in caller.of(TranscriptionFrame)] == ["hello there"]
    assert simulator.wire.sent("session.update").first["session"]["audio"]["input"]["turn_detection"] is None
    create = simulator.wire.sent("response.create").times(2)
    assert simulator.wire.sent("input_audio_buffer.commit").once()[0].position < create.last.position


@pytest.mark.flow("VAD")
async def test_a_turn_is_found_in_the_callers_audio(simulate, spoken, words):
    gate = Gate()
    simulator = simulate([Say("Hello.")], [Hold(gate), Say("Good morning.")])
    async with calling(simulator, messages=asking("Greet me."), audio=listening()) as caller:
        await caller.send(LLMRunFrame())
        await caller.until(TTSStoppedFrame)
        await caller.has_played()
        await caller.push(spoken("hello there"))
        await caller.until(ProposedUserStartedSpeakingFrame)
        await caller.until(InterruptionFrame)
        gate.open()
        await caller.until(TTSStoppedFrame)
        assert words(caller.audio()) == ["Hello.", "Good", "morning."]
        assert [frame.text for frame in caller.of(TranscriptionFrame)] == ["hello there"]
        assert caller.of(ProposedUserStoppedSpeakingFrame)
    simulator.wire.sent("response.create").once()


@pytest.mark.flow("barge-in")
async def test_the_caller_interrupts_and_the_rest_is_never_heard(simulate, spoken, words):
    gate, later = Gate(), Gate()
    counting = [Speak(["one ", "two ", Hold(gate), "three"], word_ms=200)]
    simulator = simulate(counting, [Hold(later), Say("Yes?")])
    async with calling(simulator, messages=asking("Count to three."), audio=listening()) as caller:
        await caller.send(LLMRunFrame())
        while words(caller.audio()) != ["one", "two"]:
            await caller.until(TTSAudioRawFrame)
        await asyncio.to_thread(gate.wait_reached)
        await caller.push(spoken("stop"))
        await caller.until(InterruptionFrame)
        later.open()
        while words(caller.audio()) != ["one", "two", "Yes?"]:
            await caller.until(TTSAudioRawFrame)
        await asyncio.to_thread(simulator.wire.wait_received, "conversation.item.truncated")
    truncated = simulator.wire.received("conversation.item.truncated").once()[0]
    assert 0 <= truncated["audio_end_ms"] <= 400
    done = simulator.wire.received("response.done").first["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "turn_detected")
    assert done["output"][0]["id"] == truncated["item_id"]
    simulator.wire.sent("response.cancel").never()
    simulator.wire.received("error").never()


@pytest.mark.flow("cancel")
async def test_a_response_is_cancelled(simulate):
    gate = Gate()
    simulator = simulate([Say(["one ", Hold(gate), "two"])], [Say("Well?")])
    settings = {"output_modalities": ["text"], "audio": listening(turn_detection=False)}
    async with calling(simulator, messages=asking("Count to two."), **settings) as caller:
        await caller.send(LLMRunFrame())
        await caller.until(LLMTextFrame)
        await asyncio.to_thread(gate.wait_reached)
        await caller.send(InterruptionFrame())
        await asyncio.to_thread(simulator.wire.wait_received, "response.done")
        await caller.say("Go on.")
        while caller.text() != "one Well?":
            await caller.until(LLMTextFrame)
    simulator.wire.sent("response.cancel").once()
    done = simulator.wire.received("response.done").first["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")


@pytest.mark.flow("bad field")
async def test_a_bad_field_is_an_error(simulate):
    simulator = simulate()
    audio = events.AudioConfiguration(output=events.AudioOutput(speed=9))
    async with calling(simulator, audio=audio) as caller:
        error = await caller.until(ErrorFrame)
        assert "session.audio.output.speed" in error.error
    simulator.wire.received("error").once()


@pytest.mark.flow("failed response")
async def test_a_response_fails_and_the_session_goes_on(simulate):
    simulator = simulate([Fail("server_error", "Out of order.")], [Say("Back again.")])
    async with calling(simulator, messages=asking("Hello?"), output_modalities=["text"]) as caller:
        await caller.send(LLMRunFrame())
        assert (await caller.until(ErrorFrame)).error == "Out of order."
        await caller.say("Hello?")
        while caller.text() != "Back again.":
            await caller.until(LLMTextFrame)
    simulator.wire.received("error").never()


@pytest.mark.flow("refused key")
async def test_a_wrong_key_is_an_error_and_close_3000(simulate):
    simulator = simulate(api_key="sk-right")
    async with calling(simulator, key="sk-wrong", starts=False) as caller:
        assert "invalid_api_key" in (await caller.until(ErrorFrame)).error
        assert [one.code for one in await asyncio.to_thread(simulator.wire.wait_closed)] == [3000]


@pytest.mark.flow("HTTP 401")
async def test_an_upgrade_is_refused(simulate):
    simulator = simulate(refuse_status=401)
    async with calling(simulator, starts=False) as caller:
        assert "401" in (await caller.until(ErrorFrame)).error
    assert [one.connection for one in simulator.wire.handshakes()] == [0]


@pytest.mark.flow("session expired")
async def test_an_expired_session_is_an_error_and_close_1001(simulate):
    simulator = simulate(session_max_age_s=0.2)
    async with calling(simulator) as caller:
        assert "session_expired" in (await caller.until(ErrorFrame)).error
        assert [one.code for one in await asyncio.to_thread(simulator.wire.wait_closed)] == [1001]


@pytest.mark.flow("reconnect")
async def test_after_the_end_of_the_line_a_new_conversation_begins(simulate, spoken, words):
    """The service does not come back by itself: its `reset_conversation` does."""
    gate = Gate()
    simulator = simulate([Say("Hello.")], [Hold(gate), Say("Good morning.")])
    async with calling(simulator, messages=asking("Greet me."), audio=listening()) as caller:
        await caller.send(LLMRunFrame())
        await caller.until(TTSStoppedFrame)
        await caller.has_played()
        simulator.close_all(1001)
        await asyncio.to_thread(simulator.wire.wait_closed)
        await caller.llm.reset_conversation()
        await asyncio.to_thread(simulator.wire.wait_received, "session.updated", 3)
        await caller.push(spoken("hello there"))
        await caller.until(InterruptionFrame)
        gate.open()
        await caller.until(TTSStoppedFrame)
        assert words(caller.audio()) == ["Hello.", "Good", "morning."]
    assert [one.connection for one in simulator.wire.handshakes()] == [1, 2]
    simulator.wire.received("error").never()


@pytest.mark.flow("MCP")
@pytest.mark.refuses("it knows items of messages and functions only; one of MCP ends its reading")
async def test_the_client_cannot_read_items_of_mcp(simulate):
    simulator = simulate()
    docs = {
        "type": "mcp",
        "server_label": "docs",
        "server_url": "https://docs.example",
        "allowed_tools": ["search"],
    }
    async with calling(simulator, hosted=[docs]):
        await asyncio.to_thread(simulator.wire.wait_received, "mcp_list_tools.completed")
    added = simulator.wire.received("conversation.item.added").once()[0]
    with pytest.raises(Exception, match="'message', 'function_call' or 'function_call_output'"):
        events.parse_server_event(json.dumps(added))


@pytest.mark.flow("out of band")
@pytest.mark.refuses("its ResponseProperties have no `conversation` and no `metadata`")
async def test_the_client_cannot_ask_for_a_response_outside_the_conversation(simulate):
    simulator = simulate([Say("A greeting.")])
    async with calling(simulator) as caller:
        await asyncio.to_thread(simulator.wire.wait_received, "session.updated")
        response = events.ResponseProperties(output_modalities=["text"], conversation="none")
        await caller.llm.send_client_event(events.ResponseCreateEvent(response=response))
        await caller.until(LLMFullResponseEndFrame)
    assert "conversation" not in simulator.wire.sent("response.create").once()[0]["response"]
