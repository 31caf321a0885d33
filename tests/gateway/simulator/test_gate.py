"""Gates hold a response until a test opens them."""

from __future__ import annotations

import pytest

from trunkline.gateway.simulator import Gate


def test_who_waits_is_woken_by_opening():
    gate, woken = Gate(), []
    gate.when_open(lambda: woken.append(1))
    assert not woken
    assert not gate.is_open
    gate.open()
    gate.open()
    assert woken == [1]


def test_an_open_gate_wakes_at_once():
    gate, woken = Gate(), []
    gate.open()
    gate.when_open(lambda: woken.append(1))
    assert woken == [1]
    assert gate.is_open


def test_a_gate_that_nobody_reached_says_so():
    with pytest.raises(TimeoutError, match="no response reached the gate"):
        Gate().wait_reached(timeout_s=0.01)
