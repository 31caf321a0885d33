"""What a fault holds back: order and pace, without a clock."""

from math import inf

import pytest

from trunkline.gateway.faults.held_back import HeldBack


@pytest.fixture
def held():
    return HeldBack()


def taken(held, now):
    """Take out what may go by now."""
    messages = []
    while (entry := held.front(now)) is not None:
        messages.append(entry[0])
        held.advance()
    return messages


def test_control_goes_first_and_each_class_in_order(held):
    for message, urgent in ((b"audio1", False), (b"cancel", True), (b"audio2", False), (b"item", True)):
        held.add(message, urgent=urgent, now=0.0)
    assert held.size == 22
    assert taken(held, 0.0) == [b"cancel", b"item", b"audio1", b"audio2"]
    assert (held.size, held.taken, bool(held)) == (0, 22, False)


def test_at_a_pace_each_message_goes_when_its_last_byte_may(held):
    held.slow_down(10, now=0.0)
    for message in (b"x" * 10, b"y" * 20, b"z" * 10):
        held.add(message, urgent=False, now=0.0)
    assert (held.wait_s(0.0), held.empty_in_s(0.0)) == (1.0, 4.0)
    assert taken(held, 0.9) == []
    assert taken(held, 1.0) == [b"x" * 10]
    assert (held.wait_s(1.5), held.empty_in_s(1.5), held.progress(1.5)) == (1.5, 2.5, 15)
    assert taken(held, 4.0) == [b"y" * 20, b"z" * 10]


def test_time_in_which_nothing_waits_is_not_saved_up(held):
    held.slow_down(10, now=0.0)
    held.add(b"x" * 10, urgent=False, now=100.0)
    assert held.wait_s(100.0) == 1.0
    assert taken(held, 100.9) == []
    assert taken(held, 101.0) == [b"x" * 10]


def test_at_no_pace_at_all_nothing_goes_ever(held):
    held.slow_down(0, now=0.0)
    held.add(b"x", urgent=True, now=0.0)
    assert (held.wait_s(1e9), held.empty_in_s(1e9), held.progress(1e9)) == (inf, inf, 0)
    assert taken(held, 1e9) == []


def test_all_of_it_can_be_taken_out_at_once(held):
    held.slow_down(1, now=0.0)
    held.add(b"audio", urgent=False, now=0.0)
    held.add(b"cancel", urgent=True, now=0.0)
    assert list(held.drain()) == [(b"cancel", True), (b"audio", False)]
    assert (held.size, held.wait_s(0.0), held.empty_in_s(0.0)) == (0, inf, 0.0)
