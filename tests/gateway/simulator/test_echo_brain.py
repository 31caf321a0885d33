"""The brain that says what it was told, over a real wire; and sound of one's own in general."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from trunkline.gateway.simulator import Conversation, EchoBrain, FunctionBrain, PlayAudio, Say
from trunkline.gateway.simulator.g711 import decode

RNG = np.random.default_rng(4)
SPEECH = RNG.integers(-8000, 8000, 24 * 250, np.int16).tobytes()


@pytest.fixture
def voice(simulate, connected):
    """`voice(brain, input="audio/pcm", output="audio/pcm")`: a client in a push-to-talk session."""

    def start(brain, input="audio/pcm", output="audio/pcm"):
        client = connected(simulate(brain))
        client.expect("session.created")
        formats = {name: {"type": name} for name in ("audio/pcmu", "audio/pcma")}
        formats["audio/pcm"] = {"type": "audio/pcm", "rate": 24000}
        audio = {
            "input": {"format": formats[input], "turn_detection": None},
            "output": {"format": formats[output]},
        }
        client.send("session.update", session={"type": "realtime", "audio": audio})
        client.expect("session.updated")
        return client

    return start


def speak(client, sound):
    client.send("input_audio_buffer.append", audio=base64.b64encode(sound).decode())
    client.send("input_audio_buffer.commit")
    client.until("conversation.item.done")


def deltas(events, kind):
    return [event["delta"] for event in events if event["type"] == kind]


def sound_of(events):
    return b"".join(base64.b64decode(one) for one in deltas(events, "response.output_audio.delta"))


def test_the_callers_samples_come_back(voice):
    client = voice(EchoBrain())
    speak(client, SPEECH)
    events = client.respond()
    assert sound_of(events) == SPEECH
    assert len(deltas(events, "response.output_audio.delta")) == 3


@pytest.mark.parametrize("format", ["audio/pcmu", "audio/pcma"])
def test_telephone_sound_comes_back_as_it_came(voice, format):
    client = voice(EchoBrain(), format, format)
    codes = RNG.integers(0, 256, 8 * 250, np.uint8).tobytes()
    speak(client, codes)
    assert np.array_equal(decode(sound_of(client.respond()), format), decode(codes, format))


def test_sound_is_echoed_in_the_format_of_the_output(voice):
    client = voice(EchoBrain(), "audio/pcm", "audio/pcmu")
    speak(client, bytes(48 * 250))
    assert sound_of(client.respond()) == b"\xff" * 8 * 250


def test_the_last_thing_said_is_echoed(voice):
    client = voice(EchoBrain())
    speak(client, SPEECH)
    client.respond()
    speak(client, SPEECH[: 48 * 120])
    assert sound_of(client.respond()) == SPEECH[: 48 * 120]


def test_text_is_echoed_as_text_in_a_text_session(simulate, connected):
    client = connected(simulate(EchoBrain())).text_session()
    assert client.ask("Hello there.") == "Hello there."


def test_who_has_said_nothing_gets_an_empty_answer(simulate, connected):
    client = connected(simulate(EchoBrain())).text_session()
    (*_, done, _) = client.respond()
    assert (done["response"]["status"], done["response"]["output"]) == ("completed", [])


def test_a_transcript_goes_with_the_sound():
    part = {"type": "input_audio", "audio": base64.b64encode(b"\xff" * 8).decode(), "transcript": "hi"}
    message = {"type": "message", "role": "user", "content": [part, {"type": "input_text", "text": "yes"}]}
    assert list(EchoBrain().reply(Conversation([message], input_format="audio/pcmu"))) == [
        PlayAudio(bytes(48), "hi"),
        Say("yes"),
    ]


def test_the_answer_can_be_truncated_up_to_its_length_and_no_further(voice):
    client = voice(EchoBrain())
    speak(client, SPEECH)
    item_id = next(e["item"]["id"] for e in client.respond() if e["type"] == "response.output_item.done")
    cut = {"item_id": item_id, "content_index": 0}
    assert client.refused("conversation.item.truncate", audio_end_ms=251, **cut)["code"] == "invalid_value"
    client.send("conversation.item.truncate", audio_end_ms=250, **cut)
    client.expect("conversation.item.truncated")


def test_sound_of_ones_own_is_played_with_its_transcript(voice):
    client = voice(FunctionBrain(lambda _: [PlayAudio(SPEECH, "one two", piece_ms=50)]))
    events = client.respond()
    assert sound_of(events) == SPEECH
    assert deltas(events, "response.output_audio_transcript.delta") == ["one", " two"]
    assert deltas(events, "response.output_audio_transcript.delta") == ["one", " two"]
    (done,) = [e for e in events if e["type"] == "response.output_audio_transcript.done"]
    assert done["transcript"] == "one two"


def test_sound_without_length_still_says_its_words(voice):
    client = voice(FunctionBrain(lambda _: [PlayAudio(b"", "hi")]))
    assert deltas(client.respond(), "response.output_audio_transcript.delta") == ["hi"]


def test_in_a_text_session_sound_is_its_transcript(simulate, connected):
    client = connected(simulate(FunctionBrain(lambda _: [PlayAudio(SPEECH, "one two")]))).text_session()
    assert client.ask("?") == "one two"


@pytest.mark.parametrize(
    ("arguments", "says"), [((b"abc",), "odd number"), ((b"ab", "", 0), "piece_ms must be 1 or more")]
)
def test_sound_that_cannot_be_played_is_refused_when_it_is_built(arguments, says):
    with pytest.raises(ValueError, match=says):
        PlayAudio(*arguments)


def test_an_array_of_samples_will_do():
    assert PlayAudio(np.array([1, -1], np.int16)) == PlayAudio(b"\x01\x00\xff\xff")
