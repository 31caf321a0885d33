"""What takes time in audio: the pace of speech, and the timer of an idle user. Without a clock."""

from __future__ import annotations

import json
from random import Random

import pytest

from trunkline.gateway.simulator import Pause, Say, Speak
from trunkline.gateway.simulator.effects import Start, Wake
from trunkline.gateway.simulator.ids import Ids
from trunkline.gateway.simulator.session_core import SessionCore


def core_of(**options):
    core = SessionCore(Ids(Random(0)), "gpt-realtime-2", 0, **options)
    detection = {"type": "server_vad", "idle_timeout_ms": 5000}
    audio = {"input": {"turn_detection": detection}}
    core.receive(json.dumps({"type": "session.update", "session": {"type": "realtime", "audio": audio}}))
    return core


def created(core, **response):
    effects = core.receive(json.dumps({"type": "response.create", "response": response}))
    (run,) = [effect.run for effect in effects if isinstance(effect, Start)]
    return run


def played(core, run, *steps):
    return list(core.play(run, lambda conversation: steps))


def timers(actions):
    return [action for action in actions if isinstance(action, Wake)]


@pytest.mark.parametrize(("pace", "expected_s"), [(0.0, 0), (0.1, 0.05), (1.0, 0.5)])
def test_each_piece_takes_its_time_at_the_pace(pace, expected_s):
    core = core_of(audio_pace=pace)
    actions = played(core, created(core), Speak("one", word_ms=500))
    pauses = [action.seconds for action in actions if isinstance(action, Pause)]
    assert sum(pauses) == pytest.approx(expected_s)
    assert len(pauses) == (3 if pace else 0)


def test_text_is_not_paced():
    core = core_of(audio_pace=1.0)
    assert not [
        a for a in played(core, created(core, output_modalities=["text"]), Say("Hi")) if isinstance(a, Pause)
    ]


@pytest.mark.parametrize(("pace", "expected_s"), [(0.0, 6.0), (0.5, 5.5), (1.0, 5.0), (2.0, 5.0)])
def test_a_user_is_idle_from_when_the_answer_was_heard(pace, expected_s):
    core = core_of(audio_pace=pace)
    (wake,) = timers(played(core, created(core), Speak("one", word_ms=1000)))
    assert wake.after_s == pytest.approx(expected_s)
    kinds = [getattr(effect, "event", {}).get("type") for effect in core.wake(wake.token)]
    assert kinds[0] == "input_audio_buffer.timeout_triggered"
    assert core.wake(wake.token) == []


def test_a_client_that_asks_for_a_response_is_not_idle():
    core = core_of()
    (wake,) = timers(played(core, created(core), Say("Hi")))
    created(core)
    assert core.wake(wake.token) == []


def test_a_cancelled_response_leaves_an_idle_user_too():
    core = core_of()
    created(core)
    assert len(timers(core.receive('{"type": "response.cancel"}'))) == 1


def test_the_end_of_a_response_out_of_band_says_nothing_about_the_user():
    core = core_of()
    assert timers(played(core, created(core, conversation="none"), Say("Hi"))) == []
