"""Whatever is said, and whenever it is cut off: the session goes on, and its events stay in step. Without a socket."""

from __future__ import annotations

import base64
import json
from collections import Counter
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.gateway.simulator import RuleBrain, Transcript, encode_words
from trunkline.gateway.simulator.effects import Abandon, Send, Start, Wake
from trunkline.gateway.simulator.ids import Ids
from trunkline.gateway.simulator.session_core import SessionCore


def append(samples):
    audio = base64.b64encode(samples.astype("<i2").tobytes()).decode()
    return {"type": "input_audio_buffer.append", "audio": audio}


def update(**audio_input):
    return {"type": "session.update", "session": {"type": "realtime", "audio": {"input": audio_input}}}


def detection(**changes):
    return update(turn_detection={"type": "server_vad", **changes})


EVENTS = [
    append(encode_words("What's the capital of Canada?")),
    append(encode_words("Stop!")[:3000]),
    append(np.zeros(14_400)),
    append(np.zeros(1_000)),
    append(
        np.concatenate([encode_words("Hello"), np.zeros(14_400), encode_words("again"), np.zeros(14_400)])
    ),
    {"type": "input_audio_buffer.append", "audio": "AAAA"},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
    {"type": "response.create"},
    {"type": "response.create", "response": {"conversation": "none"}},
    {"type": "response.cancel"},
    update(turn_detection=None),
    update(turn_detection={"type": "semantic_vad", "eagerness": "high"}),
    detection(),
    detection(interrupt_response=False),
    detection(create_response=False),
    detection(idle_timeout_ms=100, silence_duration_ms=0),
    update(transcription={"model": "whisper-1"}),
    update(transcription=None),
    update(format={"type": "audio/pcmu"}),
    update(format={"type": "audio/pcm"}),
]
moves = st.one_of(
    st.sampled_from(EVENTS),
    st.tuples(st.just("play"), st.integers(1, 12)),
    st.tuples(st.just("wake"), st.integers(0, 5)),
    st.tuples(st.just("truncate"), st.integers(0, 900)),
)


def transcriber(utterance):
    if utterance.duration_ms > 1500:
        raise ValueError("too long")
    return Transcript("heard", delay_s=utterance.duration_ms % 2)


class Shell:
    """Plays a core's responses a few steps at a time, and its timers when told."""

    def __init__(self) -> None:
        self.core = SessionCore(Ids(Random(1)), "gpt-realtime-2", 0, transcriber=transcriber)
        self.playing, self.timers, self.events = {}, [], []

    def perform(self, effects):
        for effect in effects:
            match effect:
                case Send(event=event):
                    self.events.append(event)
                case Start(run=run):
                    self.playing[run.id] = self.core.play(run, RuleBrain().reply)
                case Abandon(response_id=response_id):
                    self.playing.pop(response_id).close()
                case Wake(token=token):
                    self.timers.append(token)

    def play(self, n_actions):
        for name, actions in list(self.playing.items()):
            for _ in range(n_actions):
                action = next(actions, None)
                if action is None:
                    del self.playing[name]
                    break
                if isinstance(action, list):
                    self.events += action
                elif isinstance(action, Wake):
                    self.timers.append(action.token)

    def wake(self, index):
        if self.timers:
            self.perform(self.core.wake(self.timers.pop(index % len(self.timers))))

    def truncate(self, audio_end_ms):
        ids = [e["item_id"] for e in self.events if e["type"] == "response.output_audio.delta"]
        item_id = ids[-1] if ids else "none"
        event = {"item_id": item_id, "content_index": 0, "audio_end_ms": audio_end_ms}
        self.receive({"type": "conversation.item.truncate", **event})

    def receive(self, event):
        self.perform(self.core.receive(json.dumps(event)))


@settings(max_examples=250, deadline=None)
@given(st.lists(moves, max_size=20))
def test_whatever_is_said_the_events_stay_in_step(given_moves):
    shell = Shell()
    for move in given_moves:
        if isinstance(move, dict):
            shell.receive(move)
        else:
            getattr(shell, move[0])(move[1])
    shell.play(10_000)
    speaking, active, ids = None, None, Counter()
    for event in shell.events:
        ids[event["event_id"]] += 1
        match event["type"]:
            case "input_audio_buffer.speech_started":
                assert speaking is None
                speaking = event["item_id"]
            case "input_audio_buffer.speech_stopped":
                assert event["item_id"] == speaking
                speaking = None
            case "response.created" if event["response"].get("conversation_id"):
                assert active is None
                active = event["response"]["id"]
            case "response.done" if event["response"].get("conversation_id"):
                assert event["response"]["id"] == active
                active = None
            case "error":
                assert event["error"]["code"]
            case _:
                pass
    assert active is None
    assert set(ids.values()) <= {1}
    json.dumps(shell.events, allow_nan=False)
    created = [event["response"]["id"] for event in shell.events if event["type"] == "response.created"]
    done = [event["response"]["id"] for event in shell.events if event["type"] == "response.done"]
    assert sorted(created) == sorted(done)
    added = [e["item"]["id"] for e in shell.events if e["type"] == "conversation.item.added"]
    assert len(set(added)) == len(added)
