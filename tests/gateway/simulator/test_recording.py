"""What is recorded of the wire, and what becomes of it when the disk is full."""

from __future__ import annotations

import base64
import json
import logging
import os
import resource
import signal

import pytest

from trunkline.gateway.simulator.recording import Recording


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def path(tmp_path):
    return tmp_path / "wire.jsonl"


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_is_one_frame_and_is_on_disk_at_once(path):
    clock = Clock()
    recording = Recording(path, clock)
    clock.now += 0.25
    recording.note_frame("sent", 7, '{"type": "response.create",\n "n": [1, null]}')
    assert lines(path) == [
        {
            "t_s": 0.25,
            "connection": 7,
            "direction": "sent",
            "event": {"type": "response.create", "n": [1, None]},
        }
    ]
    recording.close()
    recording.note_frame("sent", 7, "{}")  # too late, and no error
    recording.close()
    assert len(lines(path)) == 1


@pytest.mark.parametrize(
    "frame", ["not json", "[1]", '"text"', "", "NaN", '{"a": 1e999}', "[" * 9999, "two\nlines"]
)
def test_what_is_no_object_is_recorded_raw(path, frame):
    recording = Recording(path)
    recording.note_frame("received", 1, frame)
    recording.close()
    (line,) = lines(path)
    assert line["raw"] == frame
    assert "event" not in line


def test_binary_frames_are_base64(path):
    recording = Recording(path)
    recording.note_frame("sent", 1, b"\x00\xff\n")
    recording.close()
    (line,) = lines(path)
    assert base64.b64decode(line["raw_base64"]) == b"\x00\xff\n"


@pytest.mark.parametrize("holder", ["session", "response"])
def test_what_an_mcp_tool_logs_in_with_is_starred_out(path, holder):
    tools = [{"type": "mcp", "authorization": "s3cret", "headers": {"X-Key": "s3cret"}}, 5, {"name": "add"}]
    recording = Recording(path)
    recording.note_frame("sent", 1, json.dumps({"type": "session.update", holder: {"tools": tools}}))
    recording.note_frame("sent", 1, json.dumps({"type": "session.update", holder: {"tools": 3}}))
    recording.close()
    assert "s3cret" not in path.read_text()
    assert lines(path)[0]["event"][holder]["tools"][2] == {"name": "add"}


def test_an_old_recording_is_replaced(path):
    path.write_text("old\n")
    Recording(path).close()
    assert path.read_text() == ""


def test_only_the_owner_may_read_it(path):
    Recording(path).close()
    assert path.stat().st_mode & 0o077 == 0


def test_a_full_disk_ends_the_recording_and_is_said_once(caplog):
    recording = Recording("/dev/full")
    with caplog.at_level(logging.ERROR, "trunkline.gateway"):
        for _ in range(3):
            recording.note_frame("sent", 1, "{}")
    (record,) = caplog.records
    assert "/dev/full stopped after 0 frames" in record.getMessage()
    assert "No space left" in record.getMessage()


def test_a_line_that_fits_only_in_part_is_taken_back(path, caplog):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    recording = Recording(path)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
        for number in range(10):
            recording.note_frame("sent", number, '{"type": "marker"}')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)
    assert 1 <= len(lines(path)) < 10
    assert len(caplog.records) == 1


# -- in the simulator ------------------------------------------------------------------------------------------------


def test_the_simulator_records_both_directions_of_all_connections(simulate, connected, path):
    simulator = simulate(record=path, api_key="s3cret")
    key = {"Authorization": "Bearer s3cret"}
    one, two = (connected(simulator, additional_headers=key) for _ in range(2))
    one.text_session()
    two.expect("session.created")
    two.socket.send("garbage")
    two.expect("error")
    simulator.stop()
    recorded = lines(path)
    assert [(e["direction"], e["event"]["type"]) for e in recorded if e["connection"] == 1] == [
        ("received", "session.created"),
        ("sent", "session.update"),
        ("received", "session.updated"),
    ]
    assert [e.get("raw") for e in recorded if e["connection"] == 2] == [None, "garbage", None]
    times = [e["t_s"] for e in recorded]
    assert times == sorted(times)
    assert times[0] >= 0
    assert "s3cret" not in path.read_text()


def test_a_recording_that_cannot_be_made_is_an_error_at_the_start(simulate, tmp_path):
    with pytest.raises(FileNotFoundError):
        simulate(record=tmp_path / "nowhere" / "wire.jsonl")


def test_a_port_that_is_taken_leaves_an_old_recording_alone(simulate, path):
    path.write_text("precious\n")
    port = int(simulate().url.split(":")[2].split("/")[0])
    with pytest.raises(OSError, match="address"):
        simulate(port=port, record=path)
    assert path.read_text() == "precious\n"


def test_two_do_not_record_to_one_file(simulate, connected, path):
    first = simulate(record=path)
    connected(first).expect("session.created")
    with pytest.raises(BlockingIOError, match="another recording is being made in it") as caught:
        simulate(record=path)
    assert caught.value.filename == str(path)
    assert [line["event"]["type"] for line in lines(path)] == ["session.created"]
    first.stop()
    connected(simulate(record=path)).expect("session.created")


def test_a_device_may_be_recorded_to_by_many(simulate):
    for _ in range(2):
        simulate(record="/dev/null")


def test_the_simulator_goes_on_when_the_disk_is_full(simulate, connected):
    client = connected(simulate(record="/dev/full")).text_session()
    assert client.ask("What's the capital of Kenya?") == "The capital of Kenya is Nairobi."


def test_stopping_closes_the_file(simulate, path):
    simulator = simulate(record=path)
    opened = {os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
    assert str(path) in opened
    simulator.stop()
    opened = {os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
    assert str(path) not in opened
