"""How much was played: the estimate, the reports, and what is left to take back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.actors.playback import Playback


def played(playback, item, now):
    return round(playback.heard(item, now).played_ms, 6)


def test_audio_plays_from_its_delivery_on():
    playback = Playback()
    playback.delivered("t", "i", 0, 1000.0, now=10.0)
    assert played(playback, "i", 10.0) == 0.0
    assert played(playback, "i", 10.25) == 250.0
    assert played(playback, "i", 99.0) == 1000.0


def test_pieces_that_come_ahead_of_time_queue_up():
    playback = Playback()
    playback.delivered("t", "i", 0, 1000.0, now=0.0)
    playback.delivered("t", "i", 0, 1000.0, now=0.1)
    assert played(playback, "i", 1.5) == 1500.0


def test_playing_waits_while_there_is_nothing_to_play():
    playback = Playback()
    playback.delivered("t", "i", 0, 100.0, now=0.0)
    playback.delivered("t", "i", 0, 1000.0, now=5.0)
    assert played(playback, "i", 5.2) == 300.0


def test_a_second_item_plays_behind_the_first():
    playback = Playback()
    playback.delivered("t", "first", 0, 1000.0, now=0.0)
    playback.delivered("t", "second", 0, 1000.0, now=0.0)
    assert (played(playback, "first", 0.5), played(playback, "second", 0.5)) == (500.0, 0.0)
    assert (played(playback, "first", 1.5), played(playback, "second", 1.5)) == (1000.0, 500.0)


def test_a_report_outdoes_the_estimate_and_is_never_more_than_what_was_received():
    playback = Playback()
    playback.delivered("t", "i", 0, 1000.0, now=0.0)
    playback.report("i", 120.0)
    assert played(playback, "i", 0.9) == 120.0
    playback.report("i", 5000.0)
    assert played(playback, "i", 0.9) == 1000.0


def test_who_reports_at_all_has_not_come_to_what_he_does_not_report():
    playback = Playback()
    playback.delivered("t", "first", 0, 100.0, now=0.0)
    playback.report("first", 100.0)
    playback.delivered("t", "second", 0, 100.0, now=0.0)
    assert played(playback, "second", 9.0) == 0.0


def test_what_was_played_to_its_end_is_not_taken_back():
    playback = Playback()
    playback.delivered("t", "i", 0, 100.0, now=0.0)
    playback.finished("i")
    assert playback.cut(0.2) == []


def test_what_is_not_complete_is_taken_back_even_if_all_that_came_was_played():
    playback = Playback()
    playback.delivered("t", "i", 0, 100.0, now=0.0)
    (heard,) = playback.cut(9.0)
    assert (heard.item_id, heard.turn_id, heard.played_ms, heard.received_ms) == ("i", "t", 100.0, 100.0)


def test_a_cut_forgets_everything_and_the_next_item_begins_at_once():
    playback = Playback()
    playback.delivered("t", "i", 0, 10_000.0, now=0.0)
    assert len(playback.cut(1.0)) == 1
    assert playback.cut(1.0) == []
    playback.delivered("u", "j", 0, 100.0, now=1.0)
    assert played(playback, "j", 1.1) == 100.0


def test_old_items_are_forgotten_as_new_ones_come():
    playback = Playback()
    for n in range(1000):
        playback.delivered("t", f"i{n}", 0, 100.0, now=float(n))
        playback.finished(f"i{n}")
    assert playback.heard("i0", 1000.0) is None
    assert playback.heard("i999", 1000.0) is not None


@given(st.lists(st.tuples(st.floats(0.0, 2.0), st.floats(0.0, 3000.0)), min_size=1), st.floats(0.0, 10.0))
def test_no_more_is_played_than_was_received_nor_than_time_has_passed(pieces, later):
    playback, now = Playback(), 100.0
    for pause_s, length_ms in pieces:
        now += pause_s
        playback.delivered("t", "i", 0, length_ms, now)
    heard = playback.heard("i", now + later)
    assert 0.0 <= heard.played_ms <= heard.received_ms + 1e-6
    assert heard.played_ms <= (now + later - 100.0) * 1000.0 + 1e-6
