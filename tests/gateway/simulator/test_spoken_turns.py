"""Spoken turns through a real WebSocket: what a voice client sees."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from trunkline.gateway.simulator import (
    FunctionBrain,
    Gate,
    Hold,
    RuleBrain,
    Say,
    Speak,
    Transcript,
    decode_words,
    encode_words,
)
from trunkline.gateway.simulator.g711 import RATES_HZ, decode, encode

SILENCE_MS = 600
VAD_TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
]
SPOKEN = "conversation.item.input_audio_transcription"


def types(events):
    return [event["type"] for event in events]


def one(events, type):
    (event,) = [event for event in events if event["type"] == type]
    return event


def sound_of(text, audio_format="audio/pcm", silence_ms=SILENCE_MS):
    rate = RATES_HZ[audio_format]
    samples = np.concatenate([encode_words(text, rate), np.zeros(rate * silence_ms // 1000, np.int16)])
    return base64.b64encode(encode(samples, audio_format)).decode()


def heard(events, audio_format="audio/pcm"):
    """Return what the client hears, from the samples that were sent to it."""
    sound = b"".join(
        base64.b64decode(e["delta"]) for e in events if e["type"] == "response.output_audio.delta"
    )
    words = decode_words(decode(sound, audio_format), RATES_HZ[audio_format])
    return " ".join(word.word for word in words)


def answering(*steps):
    return FunctionBrain(lambda conversation: steps)


@pytest.fixture
def talk(simulate, connected):
    """Start a simulator, connect and set the audio of the session up."""

    def start(brain=None, *, session=None, output=None, options=None, **audio_input):
        simulator = simulate(brain, **(options or {}))
        # It reads on, so that a CLOSE behind what the test did not care to receive is answered at once.
        client = connected(simulator, max_queue=None)
        client.expect("session.created")
        audio = {"input": audio_input, **({"output": output} if output else {})}
        client.send("session.update", session={"type": "realtime", "audio": audio, **(session or {})})
        client.expect("session.updated")
        return client

    return start


def speak(client, text, **how):
    client.send("input_audio_buffer.append", audio=sound_of(text, **how))


# -- turns -----------------------------------------------------------------------------------------------------------


def test_a_spoken_question_is_heard_and_answered_in_speech(talk):
    client = talk()
    speak(client, "What's the capital of Canada?")
    events = client.until("rate_limits.updated")
    assert types(events)[:6] == VAD_TURN
    started, stopped, committed, added = events[:4]
    assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (0, 1500)
    assert len({started["item_id"], stopped["item_id"], committed["item_id"], added["item"]["id"]}) == 1
    assert added["item"]["content"] == [{"type": "input_audio"}]
    assert heard(events) == "The capital of Canada is Ottawa."
    client.send("conversation.item.retrieve", item_id=added["item"]["id"])
    (part,) = client.expect("conversation.item.retrieved")["item"]["content"]
    assert sorted(part) == ["audio", "type"]
    samples = decode(base64.b64decode(part["audio"]), "audio/pcm")
    assert len(samples) == 36_000
    assert [word.word for word in decode_words(samples)] == ["What's", "the", "capital", "of", "Canada?"]


def test_push_to_talk_commits_and_then_asks(talk):
    client = talk(turn_detection=None)
    speak(client, "What's the capital of Canada?")
    client.send("input_audio_buffer.commit")
    assert [client.next()["type"] for _ in range(3)] == VAD_TURN[2:5]
    assert heard(client.respond()) == "The capital of Canada is Ottawa."


@pytest.mark.parametrize("audio_format", ["audio/pcmu", "audio/pcma"])
def test_a_telephone_speaks_g711_both_ways(talk, audio_format):
    both = {"format": {"type": audio_format}}
    client = talk(output=both, **both)
    speak(client, "What's the capital of Canada?", audio_format=audio_format)
    events = client.until("rate_limits.updated")
    assert one(events, "input_audio_buffer.speech_stopped")["audio_end_ms"] == 1500
    assert heard(events, audio_format) == "The capital of Canada is Ottawa."
    n_bytes = sum(
        len(base64.b64decode(e["delta"])) for e in events if e["type"] == "response.output_audio.delta"
    )
    assert n_bytes == 6 * 200 * 8


def test_without_create_response_the_turn_is_committed_and_that_is_all(talk):
    client = talk(turn_detection={"type": "server_vad", "create_response": False})
    speak(client, "Hello")
    assert [client.next()["type"] for _ in range(5)] == VAD_TURN[:5]
    client.send("input_audio_buffer.clear")
    client.expect("input_audio_buffer.cleared")
    assert heard(client.respond()) == "Hello! How can I help you?"


def test_a_semantic_turn_ends_early_only_after_a_whole_sentence(talk):
    client = talk(turn_detection={"type": "semantic_vad", "eagerness": "high"})
    speak(client, "Well")
    assert client.expect("input_audio_buffer.speech_started")["audio_start_ms"] == 0
    speak(client, "hello.")
    assert client.expect("input_audio_buffer.speech_stopped")["audio_end_ms"] == 200 + 600 + 200 + 500
    client.until("rate_limits.updated")


def test_a_session_that_only_transcribes_hears_turns_and_answers_none(talk, simulate, connected):
    client = connected(simulate())
    client.expect("session.created")
    detection = {"type": "server_vad"}
    client.send(
        "session.update",
        session={
            "type": "transcription",
            "audio": {"input": {"turn_detection": detection, "transcription": {"model": "whisper-1"}}},
        },
    )
    client.expect("session.updated")
    speak(client, "Hello there")
    events = client.until(f"{SPOKEN}.completed")
    assert types(events) == [*VAD_TURN[:5], f"{SPOKEN}.delta", f"{SPOKEN}.completed"]
    client.send("input_audio_buffer.clear")
    client.expect("input_audio_buffer.cleared")


def test_speech_that_is_no_speech_is_answered_all_the_same(talk):
    client = talk()
    noise = np.random.default_rng(0).normal(0, 6000, 12_000).astype("<i2")
    silence = np.zeros(24_000, "<i2")
    client.send(
        "input_audio_buffer.append", audio=base64.b64encode(np.concatenate([noise, silence])).decode()
    )
    assert heard(client.until("rate_limits.updated")) == "I heard you, but I cannot make out words."


# -- barge-in --------------------------------------------------------------------------------------------------------


def held_answer():
    """Answer the first turn with a word, and the rest of it never; all others as usual."""
    gate, rules, n_asked = Gate(), RuleBrain(), 0

    def reply(conversation):
        nonlocal n_asked
        n_asked += 1
        return [Say(["Well, ", Hold(gate), "never said."])] if n_asked == 1 else rules.reply(conversation)

    return gate, FunctionBrain(reply)


def test_who_speaks_in_between_cancels_the_answer_and_gets_the_next(talk):
    gate, brain = held_answer()
    client = talk(brain)
    speak(client, "Tell me a story.")
    first = client.until("response.output_audio.delta")
    gate.wait_reached(30.0)
    speak(client, "What's the capital of Canada?")
    events = client.until("rate_limits.updated")
    assert types(events) == [
        "input_audio_buffer.speech_started",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    response = events[-2]["response"]
    assert response["id"] == one(first, "response.created")["response"]["id"]
    assert (response["status"], response["status_details"]) == (
        "cancelled",
        {"type": "cancelled", "reason": "turn_detected"},
    )
    assert [item["status"] for item in response["output"]] == ["incomplete"]
    assert events[5]["item"]["status"] == "incomplete"
    second = client.until("rate_limits.updated")
    assert types(second)[:5] == VAD_TURN[1:]
    assert heard(second) == "The capital of Canada is Ottawa."
    gate.open()


def test_a_response_out_of_band_is_not_barged_into(talk):
    gate = Gate()
    client = talk(
        answering(Hold(gate), Say("done")), turn_detection={"type": "server_vad", "create_response": False}
    )
    client.send("response.create", response={"conversation": "none"})
    client.expect("response.created")
    gate.wait_reached(30.0)
    speak(client, "Hello")
    assert types(client.until("conversation.item.done")) == VAD_TURN[:5]
    gate.open()
    assert client.until("rate_limits.updated")[-2]["response"]["status"] == "completed"


def test_an_answer_that_may_not_be_interrupted_goes_on_and_the_turn_gets_none(talk):
    gate, brain = held_answer()
    client = talk(brain, turn_detection={"type": "server_vad", "interrupt_response": False})
    speak(client, "Tell me a story.")
    client.until("response.output_audio.delta")
    gate.wait_reached(30.0)
    speak(client, "What's the capital of Canada?")
    events = client.until("error")
    assert types(events) == [*VAD_TURN[:5], "error"]
    error = events[-1]["error"]
    assert (error["code"], error.get("event_id")) == ("conversation_already_has_active_response", None)
    gate.open()
    done = client.until("rate_limits.updated")[-2]["response"]
    assert (done["status"], done["output"][0]["content"][0]["transcript"]) == (
        "completed",
        "Well, never said.",
    )
    # The turn waits in the conversation for whoever asks.
    assert heard(client.respond()) == "The capital of Canada is Ottawa."


def test_what_was_not_heard_of_a_truncated_answer_is_not_remembered(talk):
    seen = []

    def reply(conversation):
        seen.append([part.get("transcript") for item in conversation.items for part in item["content"]])
        return [Speak("one two three")]

    client = talk(FunctionBrain(reply), turn_detection=None)
    item_id = client.respond()[-2]["response"]["output"][0]["id"]
    client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=430)
    client.expect("conversation.item.truncated")
    client.send("conversation.item.retrieve", item_id=item_id)
    (part,) = client.expect("conversation.item.retrieved")["item"]["content"]
    assert "transcript" not in part
    samples = decode(base64.b64decode(part["audio"]), "audio/pcm")
    assert len(samples) == 430 * 24
    assert [word.word for word in decode_words(samples)] == ["one", "two"]
    client.respond()
    assert seen[-1] == ["one two"]


def test_a_deleted_message_leaves_no_sound_for_one_with_its_id(talk):
    seen = []

    def reply(conversation):
        seen.append([part.get("transcript") for item in conversation.items for part in item["content"]])
        return [Say("yes")]

    client = talk(FunctionBrain(reply), turn_detection=None)
    speak(client, "Hello")
    client.send("input_audio_buffer.commit")
    said_id = client.expect("input_audio_buffer.committed")["item_id"]
    client.until("conversation.item.done")
    answered_id = client.respond()[-2]["response"]["output"][0]["id"]
    # Audio that a client puts into an item by itself is heard as well, next to text.
    content = [
        {"type": "input_text", "text": "and"},
        {"type": "input_audio", "audio": sound_of("other words", silence_ms=0)},
    ]
    for item_id in (said_id, answered_id):
        client.send("conversation.item.delete", item_id=item_id)
        client.expect("conversation.item.deleted")
        item = {"type": "message", "role": "user", "id": item_id, "content": content}
        client.send("conversation.item.create", item=item)
        client.until("conversation.item.done")
    client.respond()
    assert seen == [["Hello"], [None, "other words", None, "other words"]]
    client.send("conversation.item.retrieve", item_id=answered_id)
    assert client.expect("conversation.item.retrieved")["item"]["content"] == content


# -- idle ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transcription", [None, {"model": "whisper-1"}])
def test_a_user_who_stays_idle_is_prompted_and_nothing_is_transcribed(talk, transcription):
    # Paced at twice real time, half of what is said is still to be heard when it is sent.
    client = talk(
        answering(Speak("Hi", word_ms=100)),
        turn_detection={"type": "server_vad", "idle_timeout_ms": 100},
        transcription=transcription,
        options={"audio_pace": 0.5},
    )
    client.respond()
    events = client.until("response.created")
    assert types(events) == [
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    assert (events[0]["audio_start_ms"], events[0]["audio_end_ms"]) == (0, 0)
    assert events[0]["item_id"] == events[1]["item_id"] == events[2]["item"]["id"]


# -- transcription ---------------------------------------------------------------------------------------------------


def test_a_transcript_comes_with_its_turn_and_joins_its_item(talk):
    client = talk(transcription={"model": "gpt-4o-transcribe"})
    speak(client, "What's the capital of Canada?")
    events = client.until("response.created")
    deltas = [event["delta"] for event in events if event["type"] == f"{SPOKEN}.delta"]
    assert deltas == ["What's", " the", " capital", " of", " Canada?"]
    completed = events[-2]
    assert (completed["type"], completed["transcript"]) == (
        f"{SPOKEN}.completed",
        "What's the capital of Canada?",
    )
    assert completed["usage"] == {
        "type": "tokens",
        "input_tokens": 15,
        "output_tokens": 8,
        "total_tokens": 23,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 15},
    }
    client.until("rate_limits.updated")
    client.send("conversation.item.retrieve", item_id=completed["item_id"])
    (part,) = client.expect("conversation.item.retrieved")["item"]["content"]
    assert part["transcript"] == "What's the capital of Canada?"


def test_whisper_tells_all_at_once_and_costs_by_the_second(talk):
    client = talk(transcription={"model": "whisper-1"})
    speak(client, "Hello there")
    events = client.until("rate_limits.updated")
    delta, completed = one(events, f"{SPOKEN}.delta"), one(events, f"{SPOKEN}.completed")
    assert delta["delta"] == "Hello there"
    assert completed["usage"] == {"type": "duration", "seconds": 0.9}


@pytest.mark.parametrize("include", [None, [], ["item.input_audio_transcription.logprobs"]])
def test_probabilities_are_told_to_who_includes_them(talk, include):
    client = talk(session={"include": include}, transcription={"model": "gpt-4o-transcribe"})
    speak(client, "Hello there")
    events = [event for event in client.until("response.created") if event["type"].startswith(SPOKEN)]
    assert [event["content_index"] for event in events] == [0, 0, 0]
    if not include:
        assert all("logprobs" not in event for event in events)
        return
    told = [[(one["token"], bytes(one["bytes"])) for one in event["logprobs"]] for event in events]
    assert told == [[("Hello", b"Hello")], [(" there", b" there")], [("Hello there", b"Hello there")]]


@pytest.mark.parametrize(
    ("model", "n_segments"), [("gpt-4o-transcribe-diarize", 1), ("gpt-4o-transcribe", 0)]
)
def test_a_model_that_tells_speakers_apart_says_who_spoke_when(talk, model, n_segments):
    client = talk(transcription={"model": model})
    speak(client, "Hello there")
    segments = [e for e in client.until(f"{SPOKEN}.completed") if e["type"] == f"{SPOKEN}.segment"]
    assert len(segments) == n_segments
    for segment in segments:
        assert (segment["text"], segment["speaker"], segment["content_index"]) == ("Hello there", "A", 0)
        assert (segment["start"], segment["end"]) == (0, 0.9)


def test_a_transcript_may_come_after_the_answer(talk):
    gate = Gate()
    client = talk(
        options={"transcriber": lambda utterance: Transcript("What's the capital of Canada?", hold=gate)},
        transcription={"model": "whisper-1"},
    )
    speak(client, "mumble")
    events = client.until("rate_limits.updated")
    assert not any(event["type"].startswith(SPOKEN) for event in events)
    assert heard(events) == "The capital of Canada is Ottawa."
    client.send("input_audio_buffer.clear")
    client.expect("input_audio_buffer.cleared")
    gate.open()
    assert types(client.until(f"{SPOKEN}.completed")) == [f"{SPOKEN}.delta", f"{SPOKEN}.completed"]


def test_a_transcript_may_take_its_time(talk):
    client = talk(options={"transcription_delay_s": 0.05}, transcription={"model": "whisper-1"})
    speak(client, "Late.")
    events = client.until(f"{SPOKEN}.completed")
    assert types(events)[:6] == VAD_TURN
    assert events[-1]["transcript"] == "Late."


def test_a_transcriber_is_given_the_audio_and_what_was_asked_for(talk):
    given = []

    def transcriber(utterance):
        given.append((utterance.duration_ms, utterance.rate_hz, dict(utterance.settings)))
        return "something"

    asked = {"model": "gpt-4o-transcribe", "language": "en"}
    client = talk(transcription=asked, options={"transcriber": transcriber}, turn_detection=None)
    speak(client, "Hi", silence_ms=50)
    client.send("input_audio_buffer.commit")
    assert client.until(f"{SPOKEN}.completed")[-1]["transcript"] == "something"
    ((duration_ms, rate_hz, settings),) = given
    assert (duration_ms, rate_hz) == (250, 24_000)
    assert asked.items() <= settings.items()


def test_a_failed_transcription_is_told_and_the_answer_comes_all_the_same(talk):
    def transcriber(utterance):
        raise ValueError("too noisy")

    client = talk(transcription={"model": "whisper-1"}, options={"transcriber": transcriber})
    speak(client, "What's the capital of Canada?")
    events = client.until("rate_limits.updated")
    failed = one(events, f"{SPOKEN}.failed")
    assert failed["error"]["code"] == "audio_unintelligible"
    assert "too noisy" in failed["error"]["message"]
    assert heard(events) == "The capital of Canada is Ottawa."


def test_sound_without_words_transcribes_as_its_length_and_silence_as_nothing(talk):
    client = talk(transcription={"model": "whisper-1"}, turn_detection=None)
    noise = np.random.default_rng(0).normal(0, 3000, 4_800).astype("<i2")
    for samples, transcript in ((noise, "(speech, 200 ms)"), (np.zeros(4800, "<i2"), "")):
        client.send("input_audio_buffer.append", audio=base64.b64encode(samples.tobytes()).decode())
        client.send("input_audio_buffer.commit")
        assert client.until(f"{SPOKEN}.completed")[-1]["transcript"] == transcript


def test_a_client_that_goes_takes_its_timers_with_it(talk, simulate, connected):
    gate = Gate()
    simulator = simulate(transcriber=lambda utterance: Transcript("x", delay_s=30, hold=gate))
    client = connected(simulator)
    client.expect("session.created")
    audio = {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": {"type": "server_vad"}}}
    client.send("session.update", session={"type": "realtime", "audio": audio})
    speak(client, "Hello")
    client.until("rate_limits.updated")
    client.socket.close()
    simulator.wait_connections(0, 30.0)


# -- output ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("speed", "expected_ms"), [(1.0, 600), (1.5, 399), (0.5, 1200)])
def test_speech_has_the_speed_that_was_asked_for_and_is_all_of_its_text(talk, speed, expected_ms):
    client = talk(answering(Say("one two three")), output={"speed": speed})
    events = client.respond()
    assert heard(events) == "one two three"
    deltas = [base64.b64decode(e["delta"]) for e in events if e["type"] == "response.output_audio.delta"]
    assert sum(map(len, deltas)) == expected_ms * 48
    assert max(map(len, deltas)) <= 200 * 48


def test_paced_speech_can_be_cut_between_two_pieces_of_a_word(talk):
    client = talk(answering(Speak("one two", word_ms=60_000)), options={"audio_pace": 1.0})
    client.send("response.create")
    client.until("response.output_audio.delta")
    client.send("response.cancel")
    done = client.until("rate_limits.updated")[-2]["response"]
    assert done["status"] == "cancelled"
    (part,) = done["output"][0]["content"]
    assert part["transcript"] == "one"
    client.send(
        "conversation.item.truncate", item_id=done["output"][0]["id"], content_index=0, audio_end_ms=60_000
    )
    assert "is already shorter than 60000ms" in client.expect("error")["error"]["message"]
