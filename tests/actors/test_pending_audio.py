"""What is kept of the user's audio while a move to another line is near: as much as that line would miss, and no more."""

from __future__ import annotations

import numpy as np
import pytest

from trunkline.actors.pending_audio import ANNOUNCED_WITHIN_S, BOUND_BYTES, PRELUDE_MS, PendingAudio
from trunkline.gateway import g711
from trunkline.gateway.audio import n_bytes_of

SILENCE = bytes(4800)  # 100 ms
LOUD = (np.sin(np.arange(2400) / 5) * 8000).astype("<i2").tobytes()


class Pending:
    def __init__(self, *, under_vad: bool, audio_format: str = "pcm16") -> None:
        self.audio = PendingAudio(audio_format)
        self.now = 0.0
        self._vad = under_vad

    def add(self, data: bytes, n: int = 1, *, keep: bool = True) -> list[bool]:
        """So many pieces of 100 ms; returns where sound began."""
        began = []
        for _ in range(n):
            began.append(self.audio.add(data, self.now, keep=keep, under_vad=self._vad))
            self.now += 0.1
        return began

    def take(self) -> tuple[bytes, int]:
        return self.audio.take(self.now, under_vad=self._vad)


@pytest.fixture
def by_hand() -> Pending:
    return Pending(under_vad=False)


@pytest.fixture
def vad() -> Pending:
    return Pending(under_vad=True)


def test_without_turn_detection_all_that_waits_for_its_commit_is_taken(by_hand: Pending) -> None:
    by_hand.add(SILENCE, 20)
    by_hand.add(LOUD)
    assert by_hand.take() == (SILENCE * 20 + LOUD, 0)
    by_hand.audio.forget()
    assert by_hand.take() == (b"", 0)


def test_without_turn_detection_nobody_announces_speech_and_none_is_looked_for(by_hand: Pending) -> None:
    assert by_hand.add(LOUD, 2) == [False, False]


def test_what_was_said_before_a_move_was_near_is_missing_and_counted(by_hand: Pending) -> None:
    by_hand.add(LOUD, 3, keep=False)
    by_hand.add(LOUD)
    assert by_hand.take() == (LOUD, 3)


def test_what_was_taken_is_missing_on_the_line_after_that(by_hand: Pending) -> None:
    by_hand.add(LOUD, 2)
    by_hand.take()
    by_hand.add(SILENCE)
    assert by_hand.take() == (SILENCE, 2)


def test_it_holds_so_much_and_counts_the_oldest_as_missing(by_hand: Pending) -> None:
    n_fit = BOUND_BYTES // len(SILENCE)
    by_hand.add(LOUD, 2)
    by_hand.add(SILENCE, n_fit)
    assert by_hand.take() == (SILENCE * n_fit, 2)


def test_a_piece_that_is_over_the_bound_alone_is_not_kept(by_hand: Pending) -> None:
    by_hand.add(bytes(BOUND_BYTES + 2))
    by_hand.audio.refused()
    assert by_hand.take() == (b"", 0)


@pytest.mark.parametrize(("keep", "taken"), [(True, (LOUD, 0)), (False, (b"", 1))])
def test_what_the_line_refused_is_neither_kept_nor_missing(
    by_hand: Pending, keep: bool, taken: tuple[bytes, int]
) -> None:
    by_hand.add(LOUD, keep=keep)
    by_hand.add(SILENCE, keep=keep)
    by_hand.audio.refused()
    assert by_hand.take() == taken


def test_under_turn_detection_silence_is_not_taken_along_and_no_more_of_it_kept_than_speech_needs(
    vad: Pending,
) -> None:
    vad.add(SILENCE, 20)
    assert vad.take() == (b"", 0)
    vad.add(SILENCE, 20)
    vad.audio.speech_started()
    data, missing = vad.take()
    assert (len(data), missing) == (n_bytes_of(PRELUDE_MS), 0)


def test_speech_is_taken_from_before_its_beginning(vad: Pending) -> None:
    vad.add(SILENCE, 20)
    vad.add(LOUD, 3)
    vad.audio.speech_started()
    vad.add(LOUD, 100)
    vad.add(SILENCE, 2)
    data, missing = vad.take()
    assert missing == 0
    assert data.endswith(LOUD * 103 + SILENCE * 2)
    assert set(data[: -len(LOUD * 103 + SILENCE * 2)]) == {0}


def test_speech_that_is_in_a_message_is_not_taken(vad: Pending) -> None:
    vad.audio.speech_started()
    assert vad.add(LOUD, 10) == [False] * 10, "it is announced already"
    vad.audio.forget()
    vad.add(SILENCE, 2)
    assert vad.take() == (b"", 0)


def test_speech_that_began_before_a_move_was_near_lacks_its_beginning(vad: Pending) -> None:
    vad.add(SILENCE, 20, keep=False)
    vad.audio.speech_started()
    vad.add(LOUD, 3, keep=False)
    vad.add(LOUD)
    assert vad.take() == (LOUD, 3)


@pytest.mark.parametrize("audio_format", ["pcm16", "g711_ulaw", "g711_alaw"])
def test_sound_that_begins_may_be_speech_until_the_provider_would_have_said_so(audio_format: str) -> None:
    pending = Pending(under_vad=True, audio_format=audio_format)
    silence, loud = SILENCE, LOUD
    if audio_format != "pcm16":
        silence, loud = (g711.encode(np.frombuffer(one, "<i2")[::3], audio_format) for one in (silence, loud))
    assert pending.add(silence, 3) == [False] * 3
    assert not pending.audio.may_be_speech(pending.now)
    assert pending.add(loud, 3) == [True, False, False]
    assert pending.audio.may_be_speech(pending.now)
    data, missing = pending.audio.take(pending.now, under_vad=True)
    assert (data, missing) == (silence * 3 + loud * 3, 0)
    pending.add(loud)
    pending.add(loud, round(10 * ANNOUNCED_WITHIN_S))
    assert not pending.audio.may_be_speech(pending.now), "it goes on, and nobody took it for speech"
    assert pending.take() == (b"", 0)


def test_after_a_pause_sound_begins_anew(vad: Pending) -> None:
    vad.add(LOUD, 20)
    assert vad.add(SILENCE, 5) == [False] * 5
    assert vad.add(LOUD) == [True]
