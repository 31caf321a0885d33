"""The messages of a session and a broker: frozen, picklable, checked in the caller."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any, get_args

import msgspec
import pykka
import pytest

from trunkline.actors import commands as cmd
from trunkline.actors.errors import InvalidCommand
from trunkline.actors.events import SessionClosed
from trunkline.actors.raw_frame import RawFrame

MESSAGES = [
    cmd.Connect(),
    cmd.Connect({"voice": "marin", "modalities": ["text"]}),
    cmd.Resume("session_1", {"voice": "marin"}),
    cmd.SendText("h\u00e9llo \U0001f600"),
    cmd.SendAudio(b"\x00\x01" * 10),
    cmd.CommitAudio(),
    cmd.ClearAudio(),
    cmd.CreateResponse(),
    cmd.Interrupt(),
    cmd.ReportPlayback("item_1", 120.5),
    cmd.GetHistory(),
    cmd.GetUsage(),
    cmd.UpdateInstructions(""),
    cmd.GetInstructions(),
    cmd.Subscribe(print),
    cmd.Unsubscribe(print),
    cmd.AwaitOpen(),
    cmd.RealtimeEvent("s", SessionClosed("client", "1000", "bye")),
    cmd.RealtimeClose("s", "client"),
    cmd.RealtimeFrame("s", RawFrame("sent", "response.create", b"{}")),
]


def every_message() -> set[type]:
    return {
        value
        for value in vars(cmd).values()
        if dataclasses.is_dataclass(value)
        or (
            isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == cmd.__name__
        )
    }


def test_this_file_knows_every_message() -> None:
    assert {type(message) for message in MESSAGES} == every_message()


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_the_same_after_pickling(message: Any) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(message, protocol)) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_cannot_be_changed(message: Any) -> None:
    name = next(iter(type(message).__match_args__), "anything")
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError, AttributeError)):
        setattr(message, name, None)


def test_the_commands_of_a_session_are_one_list_for_types_and_for_dispatch() -> None:
    assert set(get_args(cmd.SessionCommand)) == set(cmd.SESSION_COMMANDS)
    assert len(set(cmd.SESSION_COMMANDS)) == len(cmd.SESSION_COMMANDS)


@pytest.mark.parametrize("text", ["", " \n\t", None, 3, b"bytes", "\ud800"])
def test_send_text_takes_text_that_can_be_sent(text: Any) -> None:
    with pytest.raises(InvalidCommand, match="send_text"):
        cmd.SendText(text)


@pytest.mark.parametrize("text", [None, 3, "a\udfff"])
def test_update_instructions_takes_text_that_can_be_sent(text: Any) -> None:
    with pytest.raises(InvalidCommand, match="update_instructions"):
        cmd.UpdateInstructions(text)


@pytest.mark.parametrize("data", [None, "text", [1, 2], bytearray(b"x")])
def test_audio_is_bytes(data: Any) -> None:
    with pytest.raises(InvalidCommand, match="encoded to bytes"):
        cmd.SendAudio(data)


@pytest.mark.parametrize("subscriber", [None, 3, "an actor", object()])
def test_a_subscriber_is_an_actor_or_a_function(subscriber: Any) -> None:
    with pytest.raises(InvalidCommand, match="ActorRef or a callable"):
        cmd.Subscribe(subscriber)


def test_an_actor_and_a_function_are_subscribers() -> None:
    ref = pykka.ThreadingActor.start()
    try:
        assert cmd.Subscribe(ref).subscriber is ref
        assert cmd.Subscribe(len).subscriber is len
    finally:
        ref.stop()
