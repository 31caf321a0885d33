"""What a lagging actor is told: new deltas go, audio first; finals are kept; one report per episode."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.actors.backlog import BacklogLimits, Loss, loss_of
from trunkline.actors.events import AssistantAudioDelta, AssistantText, AssistantTextDelta, Error
from trunkline.actors.inbox_backlog import InboxBacklog
from trunkline.actors.raw_frame import RawFrame

LIMITS = BacklogLimits(max_events=16, max_audio_bytes=1_000, max_kept=40)


def audio(n_samples=10):
    return AssistantAudioDelta(turn_id="t", pcm=np.zeros(n_samples, np.int16))


def frame(n_bytes=20):
    return RawFrame("received", None, b"x" * n_bytes)


DELTA = AssistantTextDelta(turn_id="t", delta="x")
FINAL = AssistantText(turn_id="t", text="x")


@pytest.fixture
def backlog():
    return InboxBacklog(LIMITS)


def dropped(told):
    return [event.dropped for event in told if isinstance(event, Error)]


@pytest.mark.parametrize("event", [audio(), frame(), DELTA, FINAL], ids=lambda event: type(event).__name__)
def test_an_actor_that_keeps_up_is_told_everything(backlog, event):
    assert [list(backlog.admit(event, 0)) for _ in range(100)] == [[event]] * 100


@pytest.mark.parametrize(
    ("event", "most"),
    [(audio(), 14), (frame(), 14), (DELTA, 16), (FINAL, 40)],
    ids=["audio", "frame", "delta", "final"],
)
def test_each_kind_has_its_bound(backlog, event, most):
    told = 0
    while event in backlog.admit(event, told):
        told += 1
    assert told == most


def test_audio_goes_before_other_deltas_and_finals_never(backlog):
    assert list(backlog.admit(audio(), 14)) == []
    assert list(backlog.admit(DELTA, 14)) == [DELTA]
    assert list(backlog.admit(DELTA, 16)) == []
    assert list(backlog.admit(FINAL, 39)) == [FINAL]


def test_an_episode_lasts_until_half_the_backlog_is_gone_and_is_reported_once(backlog):
    assert list(backlog.admit(audio(), 14)) == []
    assert list(backlog.admit(DELTA, 16)) == []
    for n_waiting in (15, 13, 9):
        assert list(backlog.admit(audio(), n_waiting)) == [], "still the same episode"
        assert list(backlog.admit(DELTA, n_waiting)) == []
        assert list(backlog.admit(FINAL, n_waiting)) == [FINAL]
    error, event = backlog.admit(DELTA, 8)
    assert (error.code, error.dropped, error.recoverable) == ("subscriber_lagging", 8, True)
    assert event == DELTA
    assert list(backlog.admit(DELTA, 8)) == [DELTA]


def test_an_episode_that_the_end_cuts_short_is_reported_then(backlog):
    backlog.admit(audio(), 14)
    assert dropped(backlog.report()) == [1]
    assert backlog.report() == ()


def test_audio_and_frames_are_bounded_by_their_bytes_together(backlog):
    assert len(backlog.admit(audio(250), 0)) == 1
    assert len(backlog.admit(frame(500), 1)) == 1
    assert list(backlog.admit(audio(1), 2)) == []
    assert list(backlog.admit(DELTA, 2)) == [DELTA], "only audio goes for its bytes"
    assert list(backlog.admit(audio(1), 3)) == []
    assert dropped(backlog.admit(audio(1), 2)) == [2], "the first 500 bytes were read, and a delta waits"


def test_a_backlog_of_others_messages_counts(backlog):
    assert list(backlog.admit(DELTA, 16)) == []
    assert list(backlog.admit(FINAL, 40)) != [FINAL]


def test_an_actor_too_far_behind_is_told_so_and_then_nothing(backlog):
    (error,) = backlog.admit(FINAL, 40)
    assert (error.code, error.recoverable) == ("subscriber_lagging", False)
    assert backlog.given_up
    assert [list(backlog.admit(event, 0)) for event in (FINAL, DELTA, audio())] == [[], [], []]


def test_as_long_as_look_at_says_nobody_needs_to_look(backlog):
    backlog.admit(DELTA, 3)
    assert backlog.look_at - backlog.told == 14 - 3, "so many more, and the first bound is reached"
    backlog.admit(audio(), 14)
    assert backlog.look_at <= backlog.told, "in an episode every event is looked at"


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["audio", "frame", "delta", "final"]), st.integers(0, 3)), max_size=200
    )
)
def test_whatever_happens_the_inbox_is_bounded_and_nothing_is_lost_unseen(script):
    make = {
        "audio": lambda: audio(100),
        "frame": lambda: frame(150),
        "delta": lambda: DELTA,
        "final": lambda: FINAL,
    }
    backlog = InboxBacklog(LIMITS)
    inbox, begun, lost, reported = [], 0, 0, 0
    for kind, reads in script:
        event = make[kind]()
        waiting = inbox[begun:]
        if backlog.told < backlog.look_at and loss_of(event) is not Loss.AUDIO:
            backlog.told += 1
            told = [event]
        else:
            told = list(backlog.admit(event, len(waiting)))
        inbox += told
        lost += event not in told
        reported += sum(dropped(told))
        waiting = inbox[begun:]
        held = sum(
            one.pcm.nbytes if isinstance(one, AssistantAudioDelta) else len(one.data)
            for one in waiting
            if isinstance(one, AssistantAudioDelta | RawFrame)
        )
        assert held <= LIMITS.max_audio_bytes
        assert len(waiting) <= LIMITS.max_kept + 1
        if loss_of(event) is not Loss.NEVER and event in told:
            assert len(waiting) <= LIMITS.max_events + 1, "and the report before it"
        begun = min(len(inbox), begun + reads)
        if backlog.given_up:
            return
    assert reported + sum(dropped(backlog.report())) == lost
