"""What a type checker must know about the public API: mypy and pyright read this file, and ``assert_type`` fails them. Not run."""

from typing import assert_never, assert_type

import pykka

from trunkline import (
    AssistantAudioDelta,
    AssistantText,
    Broker,
    BrokerProxy,
    Config,
    Event,
    EventStream,
    Item,
    OpenAIGateway,
    RawFrame,
    RealtimeClose,
    RealtimeEvent,
    RealtimeFrame,
    SessionProxy,
    ToolApproval,
    ToolContext,
    tool,
)
from trunkline.actors.events import Pcm16
from trunkline.gateway.items import assistant_text
from trunkline.supervision import Future, StableRef, Supervisor, Tree


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool(timeout_s=2.0)
async def wait(seconds: float, ctx: ToolContext) -> str:
    """Wait a little."""
    return f"{seconds} {ctx.call_id}"


@tool(isolation="process", background=True, needs_approval=True)
def sort(words: list[str]) -> list[str]:
    """Sort words."""
    return sorted(words)


def approve(question: ToolApproval) -> bool:
    """Allow what is short."""
    assert_type(question.server_label, str | None)
    return len(question.arguments) < 3


def careful() -> Config:
    """Tools and who decides on them."""
    assert_type(sort(["b", "a"]), list[str])
    return Config(tools=[sort], approve_tool=approve, approval_timeout_s=5.0)


def calling(gateway: OpenAIGateway) -> None:
    """The front door."""
    broker = Broker.start("gpt-realtime-2", gateway=gateway, config=Config(tools=[add, wait]))
    assert_type(broker, BrokerProxy)
    connecting = broker.connect(instructions="be brief")
    assert_type(connecting, Future[SessionProxy])
    with broker as same:
        assert_type(same, BrokerProxy)


def talking(session: SessionProxy, pcm: Pcm16) -> None:
    """A session's commands are futures."""
    assert_type(session.send_text("hi"), Future[str])
    assert_type(session.send_audio_frame(pcm), Future[None])
    assert_type(session.send_audio_frame(pcm, 48_000, wait=True), Future[None])
    session.send_audio_frame(pcm, wait=False)  # None: there is nothing to wait for
    assert_type(session.send_audio(b"", 16_000), Future[None])
    assert_type(session.send_image(b"", "what is it?", "low"), Future[str])
    assert_type(session.send_system_text("be kind"), Future[str])
    assert_type(session.create_item(assistant_text("as I said"), "root"), Future[str])
    assert_type(session.delete_item("item_1"), Future[None])
    assert_type(session.retrieve_item("item_1"), Future[Item])
    assert_type(session.create_response(instructions="be brief", conversation="none"), Future[None])
    assert_type(session.update(voice="cedar", tools=[add]), Future[None])
    assert_type(session.interrupt(), Future[None])
    assert_type(session.get_instructions(), Future[str | None])
    assert_type(session.close(), Future[None])
    assert_type(session.session_id, str)
    assert_type(session.events(), EventStream)
    assert_type(session.events(), EventStream[Event])


async def awaiting(session: SessionProxy) -> None:
    """Futures and streams are awaitable."""
    assert_type(await session.send_text("hi"), str)
    async for event in session.events():
        assert_type(event, Event)


def reading(session: SessionProxy) -> None:
    """Events narrow by class."""
    for event in session.events():
        match event:
            case AssistantText(text=text):
                assert_type(text, str)
            case AssistantAudioDelta(pcm=pcm):
                assert_type(pcm, Pcm16)
            case _:
                assert_type(event.kind, str)


def reading_frames(session: SessionProxy) -> None:
    """Frames come only to who asked for them."""
    for event in session.events(raw=True):
        assert_type(event, Event | RawFrame)
        match event:
            case RawFrame(data=data):
                assert_type(data, bytes)
            case _:
                assert_type(event, Event)

    def note(event: Event) -> None: ...

    def note_all(event: Event | RawFrame) -> None: ...

    session.subscribe(note)
    session.subscribe(note_all)
    session.subscribe(note_all, raw=True)
    session.subscribe(note, raw=True)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


def subscribing(message: RealtimeEvent | RealtimeFrame | RealtimeClose) -> str:
    """What a subscribing actor is told is a closed union."""
    match message:
        case RealtimeEvent(session_id, event):
            assert_type(event, Event)
            return session_id
        case RealtimeFrame(session_id, frame):
            assert_type(frame, RawFrame)
            return session_id
        case RealtimeClose(_, reason):
            return reason
    assert_never(message)


def tools_stay_callable() -> None:
    """A decorated function is called as before."""
    assert_type(add(1, 2), int)


def supervising(root: pykka.ActorRef[Supervisor], child: StableRef[pykka.ThreadingActor]) -> None:
    """Refs are pykka's."""
    ref: pykka.ActorRef[pykka.ThreadingActor] = child
    root.ask(Tree())
    ref.tell("anything")
