"""No bytes, whatever they are, lead to anything but an event or a ProtocolError."""

import base64
import json
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.gateway import server_events as se
from trunkline.gateway.codec import (
    BETA_NAMES,
    MALFORMED_EVENT,
    MALFORMED_FRAME,
    decode_server_event,
    frame_type,
)
from trunkline.gateway.errors import ProtocolError

TAGS = sorted(str(cls.__struct_config__.tag) for cls in get_args(se.KnownServerEvent))
FIELDS = sorted({name for cls in get_args(se.KnownServerEvent) for name in cls.__struct_fields__})

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def frame(body: Any) -> bytes:
    return json.dumps(body).encode()


def outcome(data: bytes | memoryview) -> Any:
    try:
        return decode_server_event(data)
    except ProtocolError as error:
        refused = error
    assert refused.code in (MALFORMED_FRAME, MALFORMED_EVENT)
    assert refused.recoverable
    assert refused.detail
    assert (refused.event_type is None) == (refused.code == MALFORMED_FRAME)
    return refused


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=64))
def test_arbitrary_bytes_give_an_event_or_a_protocol_error(data: bytes):
    outcome(data)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([*TAGS, *BETA_NAMES]), st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=5)
)
def test_arbitrary_fields_under_real_types_give_that_event_or_a_protocol_error(
    tag: str, body: dict[str, Any]
):
    result = outcome(frame({**body, "type": tag}))
    if isinstance(result, ProtocolError):
        assert result.event_type == tag
    else:
        assert result.type == BETA_NAMES.get(tag, tag)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(TAGS), st.data())
def test_a_frame_with_a_few_broken_bytes_gives_an_event_or_a_protocol_error(tag: str, data: st.DataObject):
    broken = bytearray(
        frame({"type": tag, "event_id": "e", "delta": "AAEC", "item": {"id": "i"}, "audio_end_ms": 1.5})
    )
    for _ in range(data.draw(st.integers(1, 3))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    outcome(bytes(broken))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"null",
        b"[]",
        b'"error"',
        b"3",
        b"{}",
        b'{"type":null}',
        b'{"type":""}',
        b'{"type":7}',
        b'{"type":["error"]}',
        b'{"event_id":"e"}',
        b'{"type":"error"} trailing',
        b"{'type':'error'}",
        b'{"type":"error","error":NaN}',
        b"\xff\xfe{\x00",
        b'{"type":"tomorrow","x":"\xff"}',
        b'{"type":"tomorrow","x":' + b"[" * 100_000,
        b'{"type":"tomorrow","x":' + b"9" * 100_000 + b"}",
        b'{"type":"tomorrow","x":1e999}',
        b'{"type":"error","event_id":"\\ud800"}',
    ],
)
def test_a_frame_that_is_no_event_is_refused_as_such(data: bytes):
    error = outcome(data)
    assert isinstance(error, ProtocolError)
    assert error.code == MALFORMED_FRAME
    assert error.event_type is None


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"type": "response.output_audio.delta", "delta": "not base64!"}, "delta"),
        ({"type": "response.output_audio.delta", "delta": "AAE"}, "delta"),
        ({"type": "response.output_text.delta", "delta": 5}, "delta"),
        ({"type": "response.output_text.delta", "output_index": "1"}, "output_index"),
        ({"type": "response.output_text.delta", "output_index": 1.5}, "output_index"),
        ({"type": "response.text.delta", "delta": []}, "delta"),
        ({"type": "response.done", "response": "r"}, "response"),
        ({"type": "response.done", "response": {"output": [{"content": {}}]}}, "content"),
        ({"type": "session.created", "session": {"expires_at": "soon"}}, "expires_at"),
    ],
)
def test_a_wrong_field_is_refused_with_its_event_and_its_path(body: dict[str, Any], where: str):
    error = outcome(frame(body))
    assert isinstance(error, ProtocolError)
    assert error.code == MALFORMED_EVENT
    assert error.event_type == body["type"]
    assert where in error.detail


def test_bad_utf8_in_a_field_that_is_read_is_refused():
    error = outcome(b'{"type":"response.output_text.delta","delta":"\xff"}')
    assert isinstance(error, ProtocolError)


RENAMED = {
    f"response.{old}.{end}": f"response.{new}.{end}"
    for old, new in {
        "text": "output_text",
        "audio": "output_audio",
        "audio_transcript": "output_audio_transcript",
    }.items()
    for end in ("delta", "done")
}


@pytest.mark.parametrize(("beta", "ga"), RENAMED.items())
def test_a_beta_name_gives_the_ga_event(beta: str, ga: str):
    body = {
        "event_id": "e",
        "response_id": "r",
        "item_id": "i",
        "output_index": 1,
        "content_index": 2,
        "delta": "AAEC",
    }
    if beta.endswith("done"):
        del body["delta"]
    old, new = (
        decode_server_event(frame({"type": beta, **body})),
        decode_server_event(frame({"type": ga, **body})),
    )
    assert old == new
    assert type(old) is type(new)
    assert old.type == ga


def test_the_beta_names_are_the_six_that_were_renamed():
    assert BETA_NAMES == RENAMED
    assert len(RENAMED) == 6
    assert set(RENAMED.values()) <= set(TAGS)


@pytest.mark.parametrize(
    "name", ["session.closed", "transcription_session.updated", "ping", "session.output_audio.delta"]
)
def test_an_event_of_another_dialect_passes_as_it_came(name: str):
    data = frame({"type": name, "x": [1, None, 2.0]})
    assert decode_server_event(data) == se.UnknownEvent(name, data)


def test_audio_is_raw_bytes():
    audio = bytes(range(256)) * 40
    event = decode_server_event(
        frame({"type": "response.output_audio.delta", "delta": base64.b64encode(audio).decode()})
    )
    assert isinstance(event, se.ResponseOutputAudioDelta)
    assert event.delta == audio


@pytest.mark.parametrize("tag", ["response.output_text.delta", "tomorrow", "response.text.delta"])
def test_a_view_is_read_like_bytes_and_not_kept(tag: str):
    data = frame({"type": tag, "delta": "hello"})
    buffer = bytearray(b"xx" + data + b"yy")
    view = memoryview(buffer)[2:-2]
    event = decode_server_event(view)
    assert event == decode_server_event(data)
    before = repr(event)
    view.release()
    # A bytearray with a view on it could not be resized, and a kept view would show zeros.
    buffer[:] = bytes(len(buffer))
    buffer.clear()
    assert repr(event) == before


def test_the_type_may_stand_anywhere_in_the_object():
    data = b'{"event_id":"e","delta":"x","type":"response.output_text.delta"}'
    assert decode_server_event(data) == se.ResponseOutputTextDelta(event_id="e", delta="x")


def test_whole_numbers_written_as_floats_are_read_as_integers():
    event = decode_server_event(
        frame({"type": "response.done", "response": {"usage": {"total_tokens": 12.0}}})
    )
    assert isinstance(event, se.ResponseDone)
    assert event.response.usage is not None
    assert event.response.usage.total_tokens == 12


def test_nulls_inside_lists_are_left_out():
    event = decode_server_event(
        frame({"type": "response.done", "response": {"output": [None, {"type": "message", "content": None}]}})
    )
    assert isinstance(event, se.ResponseDone)
    assert [item.content for item in event.response.output] == [()]


def test_an_error_written_as_text_or_with_a_number_is_still_an_error():
    plain = decode_server_event(frame({"type": "error", "error": "boom"}))
    coded = decode_server_event(frame({"type": "error", "error": {"code": 503, "message": "busy"}}))
    assert isinstance(plain, se.Error)
    assert plain.error.message == "boom"
    assert isinstance(coded, se.Error)
    assert (coded.error.code, coded.error.message) == ("503", "busy")


def test_an_excerpt_is_short_and_has_no_key_in_it():
    secret = "sk-proj-" + "a1" * 40
    data = frame(
        {
            "type": "session.created",
            "event_id": 7,
            "x": "y" * 120,
            "session": {"tools": [{"authorization": "Bearer hush"}]},
            "key": secret,
        }
    )
    error = outcome(data)
    assert isinstance(error, ProtocolError)
    assert 0 < len(error.frame_excerpt) <= 200
    everything = f"{error} {error.__dict__}"
    assert "hush" not in everything
    assert "a1a1" not in everything


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b'{"type": "response.done", "response": 7}', "response.done"),
        (b'{"response": {"type": "inner"}, "type": "outer"}', "outer"),
        (b'{"type": "nobody.knows"}', "nobody.knows"),
        (b'{"type": 7}', None),
        (b'{"type": ""}', None),
        (b"{}", None),
        (b"[]", None),
        (b"", None),
        (b'{"type": "cut', None),
        (b'{"type": "\xff"}', None),
        (b"[" * 100_000, None),
        (memoryview(b'{"type": "a"}'), "a"),
    ],
)
def test_a_frame_s_type_is_what_it_says_and_never_an_error(frame, expected):
    assert frame_type(frame) == expected


@pytest.mark.parametrize("huge", [b"1e300", b"-1e308", b"9007199254740993.0"])
def test_a_number_too_large_to_be_whole_spoils_no_event_that_has_to_be_repaired(huge):
    frame = b'{"type":"response.output_text.done","event_id":null,"text":"hi","other":%s}' % huge
    assert decode_server_event(frame) == se.ResponseOutputTextDone(text="hi")
