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
from trunkline.actors.tool_errors import ToolDefinitionError
from trunkline.gateway.errors import ConfigError
from trunkline.gateway.items import assistant_text, function_call, message, user_text
from trunkline.gateway.turn_detection import ServerVad

PNG = b"\x89PNG\r\n\x1a\n and so on"
MESSAGES = [
    cmd.Connect(),
    cmd.Connect({"voice": "marin", "modalities": ["text"]}),
    cmd.Resume("session_1", {"voice": "marin"}),
    cmd.SendText("h\u00e9llo \U0001f600"),
    cmd.SendAudio(b"\x00\x01" * 10),
    cmd.SendAudio(b"", "epoch_1"),
    cmd.SendSystemText("be kind"),
    cmd.SendImage(PNG, "what is this?", "low"),
    cmd.CreateItem(assistant_text("as I said", item_id="item_2"), "item_1"),
    cmd.DeleteItem("item_1"),
    cmd.RetrieveItem("item_1"),
    cmd.CreateResponse.of({"instructions": "be brief", "metadata": {"a": "b"}, "conversation": "none"}),
    cmd.Update({"voice": "cedar", "turn_detection": ServerVad(threshold=0.3)}),
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
        if isinstance(value, type)
        and value.__module__ == cmd.__name__
        and (dataclasses.is_dataclass(value) or issubclass(value, msgspec.Struct))
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


@pytest.mark.parametrize("text", ["", " ", None, 3, "\ud800"])
def test_send_system_text_takes_text_that_can_be_sent(text: Any) -> None:
    with pytest.raises(InvalidCommand, match="send_system_text"):
        cmd.SendSystemText(text)


def test_an_image_is_encoded_where_it_is_given() -> None:
    shown = cmd.SendImage(PNG)
    assert str(shown.image).startswith("data:image/png;base64,")
    assert cmd.SendImage(shown.image) == shown
    said = cmd.SendImage(PNG, "look", "high").item("i")
    assert [(part.type, part.text, part.detail) for part in said.content] == [
        ("input_image", None, "high"),
        ("input_text", "look", None),
    ]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ((b"GIF89a",), ConfigError),
        ((3,), ConfigError),
        (("https://example.com/a.png",), ConfigError),
        ((PNG, None, "medium"), ConfigError),
        ((PNG, 3), InvalidCommand),
        ((PNG, "\ud800"), InvalidCommand),
    ],
)
def test_what_is_no_image_is_refused(given: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        cmd.SendImage(*given)


@pytest.mark.parametrize(
    "item", [None, "hi", {"type": "message"}, function_call("c", "f", "{}"), message("user")]
)
def test_only_messages_are_created(item: Any) -> None:
    with pytest.raises(InvalidCommand, match="create_item"):
        cmd.CreateItem(item)


@pytest.mark.parametrize("bad", ["", 3, None, "\ud800"])
def test_items_are_named_by_their_ids(bad: Any) -> None:
    for make in (cmd.DeleteItem, cmd.RetrieveItem):
        with pytest.raises(InvalidCommand):
            make(bad)
    if bad is not None:
        with pytest.raises(InvalidCommand):
            cmd.CreateItem(user_text("hi"), bad)


def test_the_options_of_a_response_are_checked_where_they_are_given() -> None:
    assert cmd.CreateResponse.of({}) == cmd.CreateResponse()
    with pytest.raises(InvalidCommand, match="did you mean instructions"):
        cmd.CreateResponse.of({"instruction": "be brief"})
    with pytest.raises(InvalidCommand, match="there are instructions, modalities"):
        cmd.CreateResponse.of({"xyzzy": 1})
    with pytest.raises(InvalidCommand, match="tool_descriptors"):
        cmd.CreateResponse.of({"tool_descriptors": ()})
    with pytest.raises(ConfigError, match="conversation"):
        cmd.CreateResponse.of({"conversation": "all"})
    with pytest.raises((ConfigError, ToolDefinitionError)):
        cmd.CreateResponse.of({"tools": [3]})
    with pytest.raises(InvalidCommand, match="ResponseOptions"):
        cmd.CreateResponse("be brief")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("overrides", "error", "match"),
    [
        ({}, InvalidCommand, "at least one"),
        ({"voise": "marin"}, InvalidCommand, "did you mean voice"),
        ({"input_audio_format": "g711_ulaw"}, InvalidCommand, "cannot change input_audio_format"),
        ({"on_interrupt": "submit"}, InvalidCommand, "cannot change on_interrupt"),
        ({"connect_timeout_s": 1.0}, InvalidCommand, "cannot change connect_timeout_s"),
        ({"rollover_margin_s": 1.0}, InvalidCommand, "cannot change rollover_margin_s"),
        ({"tool_descriptors": ()}, InvalidCommand, "knows no 'tool_descriptors'"),
        ({"speed": 9.0}, ConfigError, "speed"),
        ({"voice": 3}, ConfigError, "voice"),
        ({"turn_detection": "vad"}, ConfigError, "turn_detection"),
        ({"tools": [3]}, (ConfigError, ToolDefinitionError), "tool"),
        ({"temperature": 0.5}, InvalidCommand, "temperature"),
    ],
)
def test_an_update_is_checked_where_it_is_wanted(overrides: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        cmd.Update(overrides)


def test_an_update_is_not_refused_for_what_the_session_may_be() -> None:
    cmd.Update({"input_audio_transcription": "gpt-realtime-whisper"})
    cmd.Update({"tool_choice": "required"})


def test_what_can_be_changed_are_settings() -> None:
    from trunkline.gateway.config import setting_names

    assert set(cmd._CHANGEABLE) < set(setting_names())
