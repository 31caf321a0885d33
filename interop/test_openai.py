"""The official client, `openai`, sync and async: every flow once with each of them."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from trunkline.gateway.faults import FaultPlan, SessionExpired
from trunkline.gateway.simulator import CallMcp, CallTool, Fail, Gate, Hold, McpServer, Say, Speak

DEADLINE_S = 10.0
CLIENTS = {"openai (sync)": OpenAI, "openai (async)": AsyncOpenAI}
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class Blocking:
    """An async object as a blocking one: what it awaits is run to its end, or to the deadline.

    The sync client needs none of this; its waits end with the test's own timeout.
    """

    def __init__(self, wrapped: Any, runner: asyncio.Runner) -> None:
        self._wrapped = wrapped
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._wrapped, name)
        return Blocking(value, self._runner) if callable(value) or hasattr(value, "_connection") else value

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self._wrapped(*args, **kwargs)
        return self._run(result) if inspect.isawaitable(result) else result

    def __enter__(self) -> Blocking:
        return Blocking(self._run(self._wrapped.__aenter__()), self._runner)

    def __exit__(self, *exc_info: Any) -> None:
        self._run(self._wrapped.__aexit__(*exc_info))

    def __iter__(self) -> Iterator[Any]:
        events = aiter(self._wrapped)
        while True:
            try:
                yield self._run(anext(events))
            except StopAsyncIteration:
                return

    def _run(self, awaitable: Any) -> Any:
        async def within_deadline() -> Any:
            return await asyncio.wait_for(awaitable, DEADLINE_S)

        return self._runner.run(within_deadline())


class Caller:
    """A program around a connection: it remembers what it received."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.events: list[Any] = []
        self._incoming = iter(connection)

    def next(self) -> Any:
        event = next(self._incoming)
        assert isinstance(event, BaseModel), event
        self.events.append(event)
        return event

    def until(self, type: str) -> Any:
        """Receive up to and with the next event of this type, and return it."""
        while (event := self.next()).type != type:
            assert event.type != "error", event
        return event

    def rest(self) -> list[Any]:
        """Receive all there is until the connection ends well."""
        return list(self._incoming)

    def of(self, type: str) -> list[Any]:
        return [event for event in self.events if event.type == type]

    def configure(self, **session: Any) -> Any:
        self.connection.session.update(session={"type": "realtime", **session})
        return self.until("session.updated").session

    def say(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        self.connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})

    def push(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self.connection.input_audio_buffer.append(audio=base64.b64encode(piece).decode())

    def audio(self) -> bytes:
        return b"".join(base64.b64decode(event.delta) for event in self.of("response.output_audio.delta"))

    def text(self) -> str:
        return "".join(event.delta for event in self.of("response.output_text.delta"))


@pytest.fixture(params=CLIENTS)
def dial(request, stack):
    """Return what connects the client to a simulator; its session is not yet taken."""
    runner = stack.enter_context(asyncio.Runner()) if "async" in request.param else None

    def connect(simulator, *, key="sk-test", **options) -> Caller:
        base_url = simulator.url.replace("ws://", "http://").removesuffix("/realtime")
        client = CLIENTS[request.param](api_key=key, base_url=base_url)
        manager = client.realtime.connect(model="gpt-realtime-2", **options)
        if runner is None:
            stack.callback(client.close)
            return Caller(stack.enter_context(manager))
        stack.callback(Blocking(client.close, runner))
        return Caller(stack.enter_context(Blocking(manager, runner)))

    return connect


@pytest.fixture
def call(dial):
    """Return what connects the client and takes `session.created`."""

    def connect(simulator, **options) -> Caller:
        caller = dial(simulator, **options)
        assert caller.until("session.created").session.model == "gpt-realtime-2"
        return caller

    return connect


@pytest.mark.flow("text")
def test_a_text_is_answered_with_text(simulate, call):
    simulator = simulate([Say("The capital is Ottawa.")])
    caller = call(simulator)
    assert caller.configure(output_modalities=["text"]).output_modalities == ["text"]
    caller.say("What is the capital of Canada?")
    caller.connection.response.create()
    done = caller.until("response.done").response
    assert (caller.text(), done.status) == ("The capital is Ottawa.", "completed")
    assert done.output[0].content[0].text == "The capital is Ottawa."
    assert done.usage.total_tokens == done.usage.input_tokens + done.usage.output_tokens
    assert (
        simulator.wire.sent("conversation.item.create").once().before(simulator.wire.sent("response.create"))
    )


@pytest.mark.flow("tool")
def test_a_tool_is_called_and_its_output_answered(simulate, call):
    simulator = simulate([CallTool("get_weather", {"city": "Oslo"})], [Say("It snows in Oslo.")])
    caller = call(simulator)
    caller.configure(output_modalities=["text"], tools=[WEATHER])
    caller.say("How is the weather in Oslo?")
    caller.connection.response.create()
    asked = caller.until("response.function_call_arguments.done")
    assert (
        "".join(event.delta for event in caller.of("response.function_call_arguments.delta"))
        == asked.arguments
    )
    assert (asked.name, json.loads(asked.arguments)) == ("get_weather", {"city": "Oslo"})
    assert caller.until("response.done").response.output[0].call_id == asked.call_id
    caller.connection.conversation.item.create(
        item={"type": "function_call_output", "call_id": asked.call_id, "output": "snow"}
    )
    caller.connection.response.create()
    assert caller.until("response.done").response.status == "completed"
    assert caller.text() == "It snows in Oslo."
    simulator.wire.sent("conversation.item.create").with_fields(item__call_id=asked.call_id).once()


@pytest.mark.flow("parallel tools")
def test_two_tools_are_called_in_one_response(simulate, call):
    both = [CallTool("get_weather", {"city": "Oslo"}), CallTool("get_weather", {"city": "Rome"})]
    simulator = simulate(both, [Say("Snow in Oslo, sun in Rome.")])
    caller = call(simulator)
    caller.configure(output_modalities=["text"], tools=[WEATHER], parallel_tool_calls=True)
    caller.say("The weather in Oslo and Rome?")
    caller.connection.response.create()
    calls = caller.until("response.done").response.output
    assert [json.loads(one.arguments)["city"] for one in calls] == ["Oslo", "Rome"]
    assert [event.output_index for event in caller.of("response.output_item.done")] == [0, 1]
    for one in reversed(calls):
        caller.connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": one.call_id, "output": "{}"}
        )
    caller.connection.response.create()
    assert caller.until("response.done").response.status == "completed"
    assert caller.text() == "Snow in Oslo, sun in Rome."
    simulator.wire.sent("response.create").times(2)


@pytest.mark.flow("audio out")
def test_speech_can_be_heard_and_read(simulate, call, words):
    simulator = simulate([Say("The capital is Ottawa.")])
    caller = call(simulator)
    caller.say("What is the capital of Canada?")
    caller.connection.response.create()
    transcript = caller.until("response.output_audio_transcript.done").transcript
    item = caller.until("response.done").response.output[0]
    assert item.content[0].transcript == transcript == "The capital is Ottawa."
    assert words(caller.audio()) == transcript.split()
    deltas = simulator.wire.received("response.output_audio.delta")
    assert b"".join(base64.b64decode(delta["delta"]) for delta in deltas) == caller.audio()


@pytest.mark.flow("push to talk")
def test_audio_is_committed_by_hand(simulate, call, spoken, words):
    simulator = simulate([Say("Good morning.")])
    caller = call(simulator)
    session = caller.configure(
        audio={"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}}
    )
    assert session.audio.input.turn_detection is None
    caller.push(spoken("hello there", silence_ms=0))
    caller.connection.input_audio_buffer.commit()
    committed = caller.until("input_audio_buffer.committed")
    caller.connection.response.create()
    caller.until("response.done")
    heard = caller.of("conversation.item.input_audio_transcription.completed")
    assert [(event.item_id, event.transcript) for event in heard] == [(committed.item_id, "hello there")]
    assert words(caller.audio()) == ["Good", "morning."]
    simulator.wire.received("input_audio_buffer.speech_started").never()


@pytest.mark.flow("VAD")
def test_a_turn_is_found_in_the_callers_audio(simulate, call, spoken, words):
    simulator = simulate([Say("Good morning.")])
    caller = call(simulator)
    vad = {"type": "server_vad", "silence_duration_ms": 500}
    caller.configure(audio={"input": {"turn_detection": vad, "transcription": {"model": "whisper-1"}}})
    caller.push(spoken("hello there"))
    started = caller.until("input_audio_buffer.speech_started")
    stopped = caller.until("input_audio_buffer.speech_stopped")
    committed = caller.until("input_audio_buffer.committed")
    assert started.item_id == stopped.item_id == committed.item_id
    assert stopped.audio_end_ms > started.audio_start_ms
    caller.until("response.done")
    assert [
        event.transcript for event in caller.of("conversation.item.input_audio_transcription.completed")
    ] == ["hello there"]
    assert words(caller.audio()) == ["Good", "morning."]
    simulator.wire.sent("response.create").never()
    simulator.wire.sent("input_audio_buffer.commit").never()


@pytest.mark.flow("barge-in")
def test_the_caller_interrupts_and_the_rest_is_never_heard(simulate, call, spoken, words):
    gate = Gate()
    simulator = simulate([Speak(["one ", "two ", Hold(gate), "three"], word_ms=200)], [Say("Yes?")])
    caller = call(simulator)
    caller.say("Count to three.")
    caller.connection.response.create()
    first = caller.until("response.created").response.id
    while len(caller.of("response.output_audio.delta")) < 2:
        item_id = caller.until("response.output_audio.delta").item_id
    gate.wait_reached()
    caller.push(spoken("stop"))
    caller.until("input_audio_buffer.speech_started")
    caller.connection.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=210)
    done = caller.until("response.done").response
    assert (done.id, done.status, done.status_details.reason) == (first, "cancelled", "turn_detected")
    assert words(caller.audio()) == ["one", "two"]
    answer = caller.until("response.done").response
    assert (answer.status, answer.output[0].content[0].transcript) == ("completed", "Yes?")
    truncated = simulator.wire.wait_received("conversation.item.truncated").once()[0]
    assert (truncated["item_id"], truncated["audio_end_ms"]) == (item_id, 210)
    caller.connection.conversation.item.retrieve(item_id=item_id)
    left = base64.b64decode(caller.until("conversation.item.retrieved").item.content[0].audio)
    assert (len(left), words(left)) == (210 * 48, ["one"])
    simulator.wire.sent("response.cancel").never()


@pytest.mark.flow("cancel")
def test_a_response_is_cancelled(simulate, call):
    gate = Gate()
    simulator = simulate([Say(["one ", Hold(gate), "two"])], [Say("Well?")])
    caller = call(simulator)
    caller.configure(output_modalities=["text"])
    caller.say("Count to two.")
    caller.connection.response.create()
    response_id = caller.until("response.output_text.delta").response_id
    gate.wait_reached()
    caller.connection.response.cancel(response_id=response_id)
    done = caller.until("response.done").response
    assert (done.status, done.status_details.reason) == ("cancelled", "client_cancelled")
    assert (done.output[0].status, done.output[0].content[0].text) == ("incomplete", "one ")
    caller.connection.response.create()
    assert caller.until("response.done").response.output[0].content[0].text == "Well?"
    simulator.wire.sent("response.cancel").once()


@pytest.mark.flow("bad field")
def test_a_bad_field_is_an_error_and_the_session_goes_on(simulate, call):
    simulator = simulate([Say("Still here.")])
    caller = call(simulator)
    caller.connection.session.update(
        session={"type": "realtime", "output_modalities": ["smell"]}, event_id="mine"
    )
    error = caller.until("error").error
    assert (error.type, error.code, error.event_id) == ("invalid_request_error", "invalid_value", "mine")
    assert error.param.startswith("session.output_modalities")
    caller.configure(output_modalities=["text"])
    caller.connection.response.create()
    caller.until("response.done")
    assert caller.text() == "Still here."
    simulator.wire.received("error").once()


@pytest.mark.flow("failed response")
def test_a_response_fails_and_the_session_goes_on(simulate, call):
    simulator = simulate([Fail("server_error", "Out of order.")], [Say("Back again.")])
    caller = call(simulator)
    caller.configure(output_modalities=["text"])
    caller.connection.response.create()
    done = caller.until("response.done").response
    assert (done.status, done.status_details.error.code) == ("failed", "server_error")
    caller.connection.response.create()
    assert caller.until("response.done").response.status == "completed"
    assert caller.text() == "Back again."
    simulator.wire.received("error").never()


@pytest.mark.flow("refused key")
def test_a_wrong_key_is_an_error_and_close_3000(simulate, dial):
    simulator = simulate(api_key="sk-right")
    caller = dial(simulator, key="sk-wrong")
    assert caller.until("error").error.code == "invalid_api_key"
    with pytest.raises(ConnectionClosedError) as closed:
        caller.next()
    assert closed.value.rcvd.code == 3000
    assert closed.value.rcvd.reason == "invalid_request_error.invalid_api_key"
    assert [one.code for one in simulator.wire.wait_closed()] == [3000]


@pytest.mark.flow("HTTP 401")
def test_an_upgrade_is_refused(simulate, dial):
    simulator = simulate(refuse_status=401)
    with pytest.raises(InvalidStatus) as refused:
        dial(simulator)
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body)["error"]["code"] == "invalid_api_key"
    assert [one.connection for one in simulator.wire.handshakes()] == [0]


@pytest.mark.flow("session expired")
def test_an_expired_session_is_an_error_and_close_1001(simulate, call):
    simulator = simulate(session_max_age_s=0.2)
    caller = call(simulator)
    assert [event.error.code for event in caller.rest()] == ["session_expired"]
    assert [one.code for one in simulator.wire.wait_closed()] == [1001]


@pytest.mark.flow("reconnect")
def test_after_an_expired_session_the_client_comes_back(simulate, call):
    plan = FaultPlan(SessionExpired().on("rate_limits.updated").times(1))
    simulator = simulate([Say("One.")], [Say("Two.")], faults=plan)
    attempts = []
    caller = call(
        simulator, initial_delay=0.01, on_reconnecting=lambda event: attempts.append(event.close_code)
    )
    caller.configure(output_modalities=["text"])
    caller.connection.response.create()
    caller.until("response.done")
    assert caller.until("error").error.code == "session_expired"
    caller.until("session.created")
    assert attempts == [1001]
    caller.connection.response.create()
    assert caller.until("response.done").response.status == "completed"
    assert [one.connection for one in simulator.wire.handshakes()] == [1, 2]


@pytest.mark.flow("MCP")
def test_a_remote_tool_is_listed_approved_and_called(simulate, call):
    search = {"name": "search", "input_schema": {"type": "object"}}
    step = CallMcp("docs", "search", {"q": "supervision"}, output="found it")
    simulator = simulate([step], [step, Say("Found it.")], mcp_servers={"docs": McpServer([search])})
    caller = call(simulator)
    server = {"type": "mcp", "server_label": "docs", "server_url": "https://docs.example/mcp"}
    caller.configure(output_modalities=["text"], tools=[server])
    caller.until("mcp_list_tools.completed")
    listed = caller.until("conversation.item.done").item
    assert [tool.name for tool in listed.tools] == ["search"]
    caller.connection.response.create()
    request = caller.until("response.done").response.output[0]
    assert (request.type, request.name) == ("mcp_approval_request", "search")
    caller.connection.conversation.item.create(
        item={
            "type": "mcp_approval_response",
            "id": "granted",
            "approval_request_id": request.id,
            "approve": True,
        }
    )
    caller.connection.response.create()
    output = caller.until("response.done").response.output
    assert [item.type for item in output] == ["mcp_call", "message"]
    assert output[0].output == "found it"
    assert caller.of("response.mcp_call.completed")[0].item_id == output[0].id


@pytest.mark.flow("out of band")
def test_a_response_outside_the_conversation_leaves_no_trace(simulate, call):
    simulator = simulate([Say("A greeting.")], [Say("Hello.")])
    caller = call(simulator)
    caller.say("Hi!")
    caller.connection.response.create(
        response={
            "conversation": "none",
            "metadata": {"topic": "label"},
            "output_modalities": ["text"],
            "instructions": "Classify.",
        }
    )
    done = caller.until("response.done").response
    assert (done.metadata, done.conversation_id) == ({"topic": "label"}, None)
    assert caller.text() == "A greeting."
    caller.connection.conversation.item.retrieve(item_id=done.output[0].id)
    assert caller.until("error").error.code == "item_retrieve_invalid_item_id"
    assert simulator.wire.received("conversation.item.added").once()
