from math import inf

from trunkline.gateway.line_health import Keepalive, Stall, Verdict


def test_the_first_ping_is_due_one_interval_after_the_first_look():
    keepalive = Keepalive(20.0, 5.0)

    assert keepalive.look(100.0, 0) == (Verdict.WAIT, 120.0)
    assert keepalive.look(119.9, 0) == (Verdict.WAIT, 120.0)
    assert keepalive.look(120.0, 0) == (Verdict.PING, 125.0)


def test_a_line_that_stays_silent_after_a_ping_is_dead_at_the_timeout():
    keepalive = Keepalive(20.0, 5.0)
    keepalive.look(0.0, 7)
    keepalive.look(20.0, 7)

    assert keepalive.look(24.9, 7) == (Verdict.WAIT, 25.0)
    assert keepalive.look(25.0, 7) == (Verdict.DEAD, 25.0)


def test_any_received_data_counts_as_an_answer():
    keepalive = Keepalive(20.0, 5.0)
    keepalive.look(0.0, 7)
    keepalive.look(20.0, 7)

    assert keepalive.look(25.0, 8) == (Verdict.WAIT, 40.0)
    assert keepalive.look(40.0, 8) == (Verdict.PING, 45.0)


def test_data_from_before_the_ping_does_not_count():
    keepalive = Keepalive(20.0, 5.0)
    keepalive.look(0.0, 0)
    keepalive.look(20.0, 50)

    assert keepalive.look(25.0, 50) == (Verdict.DEAD, 25.0)


def test_a_timeout_longer_than_the_interval_still_pings_every_interval_while_answers_come():
    keepalive = Keepalive(10.0, 60.0)
    keepalive.look(0.0, 0)

    assert keepalive.look(10.0, 0) == (Verdict.PING, 20.0)
    assert keepalive.look(20.0, 1) == (Verdict.PING, 30.0)


def test_a_timeout_longer_than_the_interval_sends_no_second_ping_into_silence():
    keepalive = Keepalive(10.0, 60.0)
    keepalive.look(0.0, 0)
    keepalive.look(10.0, 0)

    assert keepalive.look(20.0, 0) == (Verdict.WAIT, 70.0)


def test_a_socket_with_nothing_to_write_never_stalls():
    stall = Stall(10.0)

    assert stall.look(0.0, False, 0) == (Verdict.WAIT, inf)
    assert stall.look(1e9, False, 0) == (Verdict.WAIT, inf)


def test_a_socket_that_takes_nothing_is_dead_at_the_timeout():
    stall = Stall(10.0)

    assert stall.look(5.0, True, 100) == (Verdict.WAIT, 15.0)
    assert stall.look(14.9, True, 100) == (Verdict.WAIT, 15.0)
    assert stall.look(15.0, True, 100) == (Verdict.DEAD, 15.0)


def test_every_byte_taken_starts_the_stall_clock_anew():
    stall = Stall(10.0)
    stall.look(0.0, True, 0)

    assert stall.look(9.0, True, 1) == (Verdict.WAIT, 19.0)
    assert stall.look(18.9, True, 1) == (Verdict.WAIT, 19.0)


def test_a_drained_buffer_forgets_the_stall():
    stall = Stall(10.0)
    stall.look(0.0, True, 0)
    stall.look(5.0, False, 0)

    assert stall.look(12.0, True, 0) == (Verdict.WAIT, 22.0)
