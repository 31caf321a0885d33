"""A descriptor that hears another one when it is to, and can be rung."""

import os
import select
import threading

import pytest

from trunkline.gateway.faults.doorbell import Doorbell

LIMIT_S = 30.0


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def bell(pipe):
    bell = Doorbell(pipe[0])
    yield bell
    bell.close()


def rings(bell, within_s=0.0):
    return bool(select.select([bell], [], [], within_s)[0])


def test_it_hears_the_other_descriptor_only_when_it_listens(bell, pipe):
    os.write(pipe[1], b"x")
    assert not rings(bell)
    bell.listen(read=True, write=False)
    assert rings(bell)
    bell.listen(read=False, write=False)
    assert not rings(bell)


def test_it_rings_until_it_is_silenced_however_often_it_was_rung(bell):
    for _ in range(100_000):  # more than a pipe holds
        bell.ring()
    assert rings(bell)
    bell.silence()
    assert not rings(bell)
    bell.silence()


def test_an_alarm_rings_at_its_time_and_an_earlier_one_before_it(bell):
    bell.ring_after(3600.0)
    bell.ring_after(0.01)
    assert rings(bell, LIMIT_S)
    bell.silence()
    bell.ring_after(0.01)  # an alarm of its own: the one of an hour was for the owner to ask for again
    assert rings(bell, LIMIT_S)


def test_closing_ends_its_thread_and_its_descriptor(bell):
    bell.ring_after(3600.0)
    bell.close()
    bell.close()
    assert bell.fileno() == -1
    assert "trunkline fault alarm" not in [thread.name for thread in threading.enumerate()]
    bell.ring()
    bell.listen(read=True, write=False)
    bell.ring_after(0.0)
