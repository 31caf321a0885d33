"""Each fault that the simulator can act on, as a raw client sees it on the wire; other connections are untouched."""

from __future__ import annotations

import contextlib
import json
import os
import select
import time
from pathlib import Path

import pytest

from trunkline.gateway import faults
from trunkline.gateway.faults import FaultPlan, ImpossibleFault

LIMIT_S = 30.0
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
EOF, RESET, SILENCE = "EOF", "RESET", "SILENCE"


@pytest.fixture
def misbehaving(simulate, connected, cleanup, caplog):
    """A simulator with faults on its first connection, and another client on it, which must be served all the time."""

    def start(*injections, **options):
        plan = FaultPlan(*injections, seed=1)
        simulator = simulate(faults=plan, **options)
        simulators.append(simulator)
        return simulator, plan

    simulators = []
    yield start
    for simulator in simulators:
        _served(simulator, connected)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def _served(simulator, connected):
    other = connected(simulator).text_session()
    assert other.ask("What's the capital of Kenya?") == "The capital of Kenya is Nairobi."


CLEAR = {"type": "input_audio_buffer.clear", "event_id": "mine"}
CLEARED = "input_audio_buffer.cleared"
UPDATE = {"type": "session.update", "session": {"type": "realtime", "output_modalities": ["text"]}}
ASK = [
    {
        "type": "conversation.item.create",
        "item": {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "say one two"}],
        },
    },
    {"type": "response.create", "event_id": "mine"},
]


def answered(client, last="rate_limits.updated"):
    """Have a text response and return the types of its events."""
    for event in (UPDATE, *ASK):
        client.send(event)
    return client.types(last)


def served(client):
    """Make sure that this connection is served."""
    client.send(CLEAR)
    assert client.types(CLEARED)


# -- while connecting --------------------------------------------------------------------------------------------------


def test_refuse_is_a_reset_before_a_byte(misbehaving, raw):
    simulator, plan = misbehaving(faults.Refuse().at_connection(1))
    try:
        answer = raw(simulator, upgrade=False).upgrade()
    except ConnectionError:
        answer = RESET  # it was there before the client could say anything
    assert answer == RESET
    plan.verify()
    served(raw(simulator))
    assert simulator.accepted == 1


def test_a_silent_upgrade_is_never_answered(misbehaving, raw, eventually):
    simulator, plan = misbehaving(faults.SilentUpgrade().at_connection(1))
    client = raw(simulator, upgrade=False)
    client.socket.settimeout(0.5)
    assert client.upgrade() == SILENCE
    eventually(lambda: not plan.unfired())
    served(raw(simulator))


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
@pytest.mark.parametrize("retry_after_s", [None, 7])
def test_a_status_refuses_the_upgrade(misbehaving, raw, status, retry_after_s):
    simulator, plan = misbehaving(faults.HttpStatus(status, retry_after_s=retry_after_s).at_connection(1))
    head = raw(simulator, upgrade=False).upgrade()
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert ("Retry-After: 7" in head) == (retry_after_s is not None)
    assert ("Retry-After" in head) == (retry_after_s is not None)
    plan.verify()
    served(raw(simulator))


def test_attempts_count_whatever_becomes_of_them(misbehaving, raw):
    simulator, _ = misbehaving(
        faults.HttpStatus(503).at_connection(1), faults.Close(1012).at_frame(1).on_connection(2)
    )
    assert "503" in raw(simulator, upgrade=False).upgrade()
    assert raw(simulator, created=False).closed()[0] == 1012


# -- the line ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["received", "sent"])
def test_reset(misbehaving, raw, direction):
    simulator, plan = misbehaving(faults.Reset().at_frame(2 if direction == "received" else 1, direction))
    client = raw(simulator)
    client.send(CLEAR)
    assert client.frame() == RESET
    plan.verify()


def test_reset_in_a_silent_line(misbehaving, raw):
    simulator, plan = misbehaving(faults.Reset().after(0.3))
    client = raw(simulator, created=False)
    while (frame := client.frame()) != RESET:
        assert json.loads(frame[2])["type"] == "session.created"
    plan.verify()


@pytest.mark.parametrize("direction", ["received", "sent"])
def test_half_open_reads_says_and_closes_nothing(misbehaving, raw, direction):
    simulator, plan = misbehaving(
        faults.HalfOpen().at_frame(2 if direction == "received" else 1, direction),
        session_max_age_s=2.5,
        ping_interval_s=1.0,
    )
    client = raw(simulator)
    client.send(CLEAR)
    client.socket.settimeout(1.3)
    while (frame := client.frame()) != SILENCE:  # at most a ping was on its way
        assert frame[0] == 0x80 | PING
    client.send(b"\x03\xe8", CLOSE)
    client.quiet(1.6)
    plan.verify()
    # Nothing is read: what is sent piles up until the kernel takes no more, which may acknowledge late.
    client.socket.setblocking(False)
    deadline = time.monotonic() + LIMIT_S
    while select.select([], [client.socket], [], 0.3)[1]:
        assert time.monotonic() < deadline, "somebody reads"
        with contextlib.suppress(BlockingIOError):
            client.socket.send(bytes(1 << 16))


@pytest.mark.parametrize("direction", ["received", "sent"])
def test_a_stall_holds_everything_and_then_all_of_it_comes_in_order(misbehaving, raw, direction):
    simulator, plan = misbehaving(faults.Stall(2.5).at_frame(2 if direction == "received" else 1, direction))
    client = raw(simulator)
    client.send(CLEAR)
    client.quiet(0.1)
    for _ in range(2):
        client.send(CLEAR)
    client.send(b"hello", PING)
    client.quiet(0.1)
    seen = [client.frame() for _ in range(4)]
    assert sorted(first & 0xF for first, _, _ in seen) == [TEXT, TEXT, TEXT, PONG]
    plan.verify()


def test_a_stall_that_outlasts_the_pings_ends_nothing(misbehaving, raw):
    simulator, _ = misbehaving(faults.Stall(2.5).at_frame(1, "sent"), ping_interval_s=1.0)
    client = raw(simulator)
    client.send(CLEAR)
    while (frame := client.frame())[0] == 0x80 | PING:
        pass  # it was on its way
    assert json.loads(frame[2])["type"] == CLEARED
    served(client)


def test_a_stall_that_is_over_does_not_wake_a_reader_that_takes_nothing(misbehaving, raw):
    simulator, plan = misbehaving(
        faults.SlowReader(0).at_frame(1, "sent"), faults.Stall(0.1).at_frame(1, "sent")
    )
    client = raw(simulator)
    client.send(CLEAR)
    client.types(CLEARED)
    client.send(CLEAR)
    client.quiet()
    plan.verify()


def test_a_stall_in_a_silent_line_holds_what_follows(misbehaving, raw):
    simulator, plan = misbehaving(faults.Stall(0.4).after(0.0))
    client = raw(simulator)
    served(client)
    plan.verify()


def test_a_drip_comes_a_few_bytes_at_a_time(misbehaving, raw):
    for interval_s in (0.01, 0.3):  # a client that is late finds all of it at once
        simulator, plan = misbehaving(faults.Drip(3, interval_s).at_frame(2))
        client = raw(simulator)
        client.send(CLEAR)
        sizes = []
        whole = len(json.dumps({"type": CLEARED}))
        while sum(sizes) < whole:
            sizes.append(len(client.socket.recv(1 << 16)))
        if len(sizes) > 1:
            break
    assert len(sizes) > 1
    assert {size % 3 for size in sizes[:-1]} == {0}, "a client that is slow finds several of them"
    plan.verify()


def test_a_dripping_line_still_closes_in_order(misbehaving, raw):
    simulator, _ = misbehaving(faults.Drip(1, 0.0).at_frame(1))
    client = raw(simulator)
    simulator.close_all(1012, "restart")
    assert client.closed()[:2] == (1012, "restart")


def test_a_frame_is_cut_in_the_middle(misbehaving, raw):
    simulator, plan = misbehaving(faults.CutFrame().at_frame(2))
    client = raw(simulator)
    client.send(CLEAR)
    assert client.frame() == EOF
    length = client.read[1]
    assert client.read[0] == 0x81
    assert len(client.read) == (length + 2) // 2
    plan.verify()


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1011, "oops"), (4000, "é" * 50), (0, ""), (65535, ""), (1006, "")]
)
def test_any_close(misbehaving, raw, code, reason):
    simulator, plan = misbehaving(faults.Close(code, reason).at_frame(2))
    client = raw(simulator)
    client.send(CLEAR)
    assert client.closed() == (code, reason, EOF)
    plan.verify()


def test_a_close_in_a_silent_line_and_at_what_the_client_says(misbehaving, raw):
    simulator, plan = misbehaving(
        faults.Close(1001).after(0.5).on_connection(1),
        faults.Close(1002).on("input_audio_buffer.clear").on_connection(2),
    )
    assert raw(simulator).closed() == (1001, "", EOF)
    client = raw(simulator)
    client.send(CLEAR)
    assert client.closed() == (1002, "", EOF)
    plan.verify()


def test_what_never_went_out_is_not_in_the_wire_log(misbehaving, raw, connected):
    simulator, _ = misbehaving(faults.Close(1001).after(0.3).on_connection(1), delta_interval_s=0.005)
    client = raw(simulator, created=False)
    for event in (UPDATE, *ASK):
        client.send(event)
    n_received = 0
    while (frame := client.frame())[0] == 0x81:
        n_received += 1
    assert (frame[0], client.frame()) == (0x88, EOF)
    simulator.inject('{"type": "too.late"}')
    _served(simulator, connected)
    assert len(simulator.wire.received(connection=1)) == n_received
    assert simulator.wire.received("too.late", any_type=True) == []


def test_a_close_is_left_unanswered_and_all_else_goes_on(misbehaving, raw):
    simulator, plan = misbehaving(faults.NoClose().at_frame(1), ping_interval_s=1.0)
    client = raw(simulator)
    served(client)
    client.send(b"\x03\xe8", CLOSE)
    client.socket.settimeout(1.3)
    while (frame := client.frame()) != SILENCE:
        assert frame[0] == 0x80 | PING
    client.socket.settimeout(LIMIT_S)
    simulator.inject('{"type": "still.there"}')
    assert client.event() == {"type": "still.there"}
    simulator.close_all(1012)
    client.quiet(0.6)
    assert simulator.connections == 1
    plan.verify()


def test_a_close_that_is_answered_is_the_last_word(misbehaving, raw):
    simulator, _ = misbehaving(faults.Duplicate().on("response.created"), delta_interval_s=0.01)
    client = raw(simulator)
    for event in (UPDATE, *ASK):
        client.send(event)
    client.types("response.output_text.delta")
    client.send(b"\x03\xe8", CLOSE)
    while (frame := client.frame())[0] == 0x81:
        pass  # what was on its way
    assert frame[0] == 0x88
    assert client.frame() == EOF


def test_a_client_that_breaks_the_protocol_is_told_so_even_where_its_close_is_not_answered(misbehaving, raw):
    simulator, _ = misbehaving(faults.NoClose().at_frame(1))
    client = raw(simulator)
    client.send(b"", 3)  # no such opcode
    assert client.closed()[::2] == (1002, EOF)
    simulator.inject("too late")
    client.socket.close()


def test_a_slow_reader_takes_so_much_per_second(misbehaving, raw):
    simulator, plan = misbehaving(faults.SlowReader(20_000).at_frame(1, "sent"))
    client = raw(simulator)
    client.send(CLEAR)
    client.types(CLEARED)
    began = time.monotonic()
    client.send({"type": "nonsense", "padding": "x" * 10_000})
    assert client.event()["type"] == "error"
    assert time.monotonic() - began > 0.4
    plan.verify()


def test_a_slow_reader_may_take_nothing_at_all(misbehaving, raw):
    simulator, plan = misbehaving(faults.SlowReader(0).at_frame(1, "sent"))
    client = raw(simulator)
    client.send(CLEAR)
    client.types(CLEARED)
    client.send(CLEAR)
    client.quiet()
    simulator.inject('{"type": "still.there"}')
    assert client.event() == {"type": "still.there"}
    plan.verify()


# -- bytes and frames --------------------------------------------------------------------------------------------------


def test_garbage_comes_before_the_frame_and_is_that_of_the_seed(misbehaving, raw):
    seen = []
    for _ in range(2):
        simulator, plan = misbehaving(faults.Garbage(50).at_frame(2))
        client = raw(simulator)
        client.send(CLEAR)
        client._need(52)
        seen.append(client.read[:50])
        assert client.read[0] & 0x70 == 0x70  # all reserved bits set
        assert client.read[50] == 0x81  # the frame itself
        plan.verify()
    assert seen[0] == seen[1]


def test_invalid_utf8(misbehaving, raw):
    simulator, plan = misbehaving(faults.InvalidUtf8().on(CLEARED))
    client = raw(simulator)
    client.send(CLEAR)
    first, _, payload = client.frame()
    assert first == 0x81
    assert b"\xff" in payload
    served(client)
    plan.verify()
    assert simulator.wire.received(connection=1)[1]["frame"] == payload


def test_not_json(misbehaving, raw):
    simulator, plan = misbehaving(faults.NotJson().on(CLEARED))
    client = raw(simulator)
    client.send(CLEAR)
    first, _, payload = client.frame()
    assert first == 0x81
    with pytest.raises(json.JSONDecodeError):
        json.loads(payload)
    served(client)
    plan.verify()


def test_a_field_is_missing_or_of_the_wrong_type(misbehaving, raw):
    simulator, plan = misbehaving(
        faults.MissingField("event_id").on(CLEARED),
        faults.WrongType("event_id").on(CLEARED, nth=2),
        faults.MissingField("nothing.there").on(CLEARED, nth=3),
    )
    client = raw(simulator)
    for _ in range(3):
        client.send(CLEAR)
    assert client.event() == {"type": CLEARED}
    assert client.event()["event_id"] == 7
    assert client.event()["event_id"].startswith("event_")
    assert [repr(one) for one in plan.unfired()] == [
        f"MissingField(name='nothing.there').on('{CLEARED}', nth=3)"
    ]


def test_an_oversized_frame(misbehaving, raw):
    simulator, plan = misbehaving(faults.OversizedFrame(300_000).at_frame(2))
    client = raw(simulator)
    client.send(CLEAR)
    first, _, payload = client.frame()
    assert (first, len(payload)) == (0x81, 300_000)
    assert client.event()["type"] == CLEARED
    plan.verify()


def test_an_endless_frame(misbehaving, raw):
    simulator, plan = misbehaving(faults.EndlessFrame().at_frame(2))
    client = raw(simulator)
    client.send(CLEAR)
    client._need(100_000)
    client.send(b"anybody?", PING)
    client._need(len(client.read) + 10_000_000)
    assert client.read[:10] == b"\x81\x7f" + (2**62).to_bytes(8, "big")
    assert client.read[10:].strip(b" ") == b""
    plan.verify()
    client.socket.close()
    simulator.wire.wait_closed(1)


def test_an_endless_frame_that_nobody_reads_does_not_grow(misbehaving, raw, connected):
    simulator, plan = misbehaving(faults.EndlessFrame().at_frame(2), ping_interval_s=0.5)
    client = raw(simulator, receive_buffer=4096)
    client.send(CLEAR)
    _served(simulator, connected)
    plan.verify()


def test_a_flood_of_fragments(misbehaving, raw):
    simulator, plan = misbehaving(faults.FragmentFlood(1000).at_frame(2))
    client = raw(simulator)
    client.send(CLEAR)
    frames = [client.frame() for _ in range(1000)]
    assert [first for first, _, _ in frames] == [0x01, *[0x00] * 998, 0x80]
    assert json.loads(b"".join(payload for _, _, payload in frames))["type"] == "trunkline.fault"
    assert client.event()["type"] == CLEARED
    plan.verify()


def test_a_compressed_bit_and_a_mask(misbehaving, raw):
    simulator, plan = misbehaving(faults.CompressedBit().on(CLEARED), faults.MaskedFrame().on(CLEARED, nth=2))
    client = raw(simulator)
    client.send(CLEAR)
    first, second, payload = client.frame()
    assert (first, second & 0x80) == (0xC1, 0)
    assert json.loads(payload)["type"] == CLEARED
    client.send(CLEAR)
    first, second, payload = client.frame()
    assert (first, second & 0x80) == (0x81, 0x80)
    served(client)
    plan.verify()


# -- events ------------------------------------------------------------------------------------------------------------


def test_an_event_comes_twice_or_late_or_never(misbehaving, raw):
    simulator, plan = misbehaving(
        faults.Duplicate().on("response.created"),
        faults.Reorder().on("response.output_item.added"),
        faults.Lose().on("response.content_part.added"),
    )
    types = answered(raw(simulator))
    assert types.count("response.created") == 2
    assert types.index("conversation.item.added", 3) < types.index("response.output_item.added")
    assert "response.content_part.added" not in types
    plan.verify()
    # What the wire log has is what went out.
    logged = [event["type"] for event in simulator.wire.received(connection=1)]
    assert logged[1:] == types


def test_what_a_client_says_is_lost_or_doubled(misbehaving, raw):
    simulator, plan = misbehaving(faults.Lose().at_frame(1, "sent"), faults.Duplicate().at_frame(2, "sent"))
    client = raw(simulator)
    client.send({"type": "input_audio_buffer.clear"})
    client.quiet()
    client.send(CLEAR)
    assert [client.event()["type"] for _ in range(2)] == [CLEARED, CLEARED]
    client.quiet()
    plan.verify()
    assert len(simulator.wire.sent("input_audio_buffer.clear")) == 2


def test_a_response_is_done_twice(misbehaving, raw):
    simulator, plan = misbehaving(faults.DoneTwice().on("response.done"))
    client = raw(simulator)
    for event in (UPDATE, *ASK):
        client.send(event)
    events = [client.event()]
    while events[-1]["type"] != "rate_limits.updated":
        events.append(client.event())
    one, two = (event for event in events if event["type"] == "response.done")
    assert one["response"] == two["response"]
    assert one["event_id"] != two["event_id"]
    plan.verify()


def test_a_response_that_nobody_knows_is_done(misbehaving, raw):
    simulator, plan = misbehaving(faults.DoneForUnknown().on(CLEARED))
    client = raw(simulator)
    client.send(CLEAR)
    assert client.event()["type"] == "response.done"
    assert client.event()["type"] == CLEARED
    plan.verify()


def test_a_response_races_with_one_of_the_servers_own(misbehaving, raw):
    simulator, plan = misbehaving(faults.ActiveResponseRace().on("response.create"))
    client = raw(simulator)
    client.send(ASK[1])
    events = [client.event()]
    while events[-1]["type"] != "response.done":
        events.append(client.event())
    (error,) = (event["error"] for event in events if event["type"] == "error")
    assert error["code"] == "conversation_already_has_active_response"
    assert error["event_id"] == "mine"
    assert [event["type"] for event in events].count("response.created") == 1
    served(client)
    plan.verify()


def test_the_session_expires(misbehaving, raw):
    simulator, plan = misbehaving(faults.SessionExpired().at_frame(2))
    client = raw(simulator)
    client.send(CLEAR)
    error = client.event()["error"]
    assert error["code"] == "session_expired"
    assert client.closed() == (1001, error["message"], EOF)
    plan.verify()


def test_the_session_expires_in_a_silent_line(misbehaving, raw):
    simulator, plan = misbehaving(faults.SessionExpired().after(0.5))
    client = raw(simulator)
    error = client.event()["error"]
    assert error["code"] == "session_expired"
    assert client.closed() == (1001, error["message"], EOF)
    plan.verify()


def test_a_response_meets_the_rate_limit(misbehaving, raw):
    simulator, plan = misbehaving(faults.RateLimit().on("response.done"))
    client = raw(simulator)
    for event in (UPDATE, *ASK):
        client.send(event)
    event = client.event()
    while event["type"] != "response.done":
        event = client.event()
    assert event["response"]["status"] == "failed"
    assert event["response"]["status_details"]["error"]["code"] == "rate_limit_exceeded"
    plan.verify()


# -- the plan ----------------------------------------------------------------------------------------------------------


class Elsewhere(faults.Fault):
    """A fault that has nothing to do with a simulator."""

    seams = frozenset({"transport"})


def test_a_fault_that_cannot_act_here_is_an_error_at_once(simulate):
    with pytest.raises(ImpossibleFault, match="simulator"):
        simulate(faults=FaultPlan(Elsewhere().at_frame(1)))


def test_every_fault_has_a_test_here():
    tested = Path(__file__).read_text()
    assert [fault.__name__ for fault in faults.FAULTS if f"faults.{fault.__name__}(" not in tested] == []


def test_a_plan_without_faults_changes_nothing(misbehaving, raw):
    simulator, _ = misbehaving()
    assert answered(raw(simulator))[-2:] == ["response.done", "rate_limits.updated"]


def test_a_faulty_simulator_stops_in_time_whatever_state_its_lines_are_in(misbehaving, raw):
    simulator, _ = misbehaving(
        faults.HalfOpen().at_frame(1).on_connection(1),
        faults.Stall(3600).at_frame(1).on_connection(2),
        faults.EndlessFrame().at_frame(1).on_connection(3),
        faults.Drip(1, 3600).at_frame(1).on_connection(4),
        faults.SilentUpgrade().at_connection(5),
        faults.SlowReader(1).at_frame(1).on_connection(6),
        faults.NoClose().at_frame(1).on_connection(6),
    )
    clients = [raw(simulator, created=False) for _ in range(4)]
    clients.append(raw(simulator, upgrade=False))
    clients.append(raw(simulator))
    clients[-1].send(CLEAR)
    simulator.stop()
    assert simulator.connections == 0
    simulator.start()


CONNECTING = [faults.Refuse(), faults.SilentUpgrade(), faults.HttpStatus(503)]
SOMETIMES = [
    *(faults.Reset(), faults.HalfOpen(), faults.Stall(0.01), faults.Drip(7, 0.0), faults.CutFrame(), faults.Close(1011)),
    *(faults.NoClose(), faults.SlowReader(100_000), faults.Garbage(), faults.InvalidUtf8(), faults.NotJson()),
    *(faults.MissingField("event_id"), faults.WrongType("type"), faults.OversizedFrame(100_000), faults.EndlessFrame()),
    *(faults.FragmentFlood(300), faults.CompressedBit(), faults.MaskedFrame(), faults.Duplicate(), faults.Reorder()),
    *(faults.Lose(), faults.DoneTwice(), faults.DoneForUnknown(), faults.ActiveResponseRace()),
    *(faults.SessionExpired(), faults.RateLimit()),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(4 * int(os.environ.get("TRUNKLINE_FUZZ", "1"))))
def test_whatever_goes_wrong_together_the_simulator_itself_is_well(simulate, raw, caplog, seed):
    plan = FaultPlan(
        *(fault.with_probability(0.03) for fault in (*CONNECTING, *SOMETIMES)),
        faults.Duplicate().with_probability(0.1, "sent"),
        faults.Stall(0.01).after(0.01).on_every_connection(),
        seed=seed,
    )
    simulator = simulate(faults=plan)
    for n in range(500):
        if n >= 15 and len({type(firing.fault) for firing in plan.fired}) > 5:
            break  # how much each of them sees depends on how fast the machine is
        try:
            client = raw(simulator, upgrade=False)
            client.socket.settimeout(0.05)
            client.upgrade()
            for event in (UPDATE, *ASK, CLEAR):
                client.send(event)
            while client._more() is None and len(client.read) < 1_000_000:
                pass
            client.send(b"\x03\xe8", CLOSE)
        except OSError:
            pass  # what was meant to go wrong
    assert len({type(firing.fault) for firing in plan.fired}) > 5, plan.describe()
    simulator.stop()
    assert simulator.connections == 0
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
