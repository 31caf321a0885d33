"""Who has a session open: one log at a time, until it lets go or its process is dead. Real processes, a real SIGKILL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import trunkline
from trunkline import SessionInUse, SessionLogError, SqliteSessionLog

HOLDER = """
import sys, time
from trunkline import SqliteSessionLog
log = SqliteSessionLog(sys.argv[1])
log.open("s").claim()
print("mine", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def hold(path: Path) -> Any:
    """Have another process claim the session; returns it."""
    holders: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        source = str(Path(trunkline.__file__).resolve().parents[1])
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": source},
        )
        holders.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "mine\n"
        return holder

    yield start
    for holder in holders:
        holder.kill()
        holder.communicate()


def owners(path: Path) -> list[Path]:
    return list(path.parent.glob("sessions.db-owner-*"))


def test_one_log_at_a_time_has_a_session(path: Path) -> None:
    with SqliteSessionLog(path) as one, SqliteSessionLog(path) as other:
        one.open("s").claim()
        with pytest.raises(SessionInUse):
            one.open("s").claim()
        with pytest.raises(SessionInUse, match=f"'s' is open in process {os.getpid()}"):
            other.open("s").claim()
        other.open("another").claim()
        one.open("s").release()
        one.open("s").release()
        other.open("s").claim()
        one.open("s").release()
        with pytest.raises(SessionInUse):
            one.open("s").claim()


def test_what_is_claimed_can_be_read_all_the_same(path: Path) -> None:
    with SqliteSessionLog(path) as one, SqliteSessionLog(path) as other:
        one.open("s").claim()
        assert other.sessions() == []
        assert other.open("s").read() == ()


def test_a_log_that_is_closed_has_nothing_and_leaves_nothing_behind(path: Path) -> None:
    with SqliteSessionLog(path) as log:
        assert owners(path) == []
        log.open("s").claim()
        assert len(owners(path)) == 1
    assert owners(path) == []
    log.open("s").release()
    with pytest.raises(SessionLogError):
        log.open("s").claim()
    with SqliteSessionLog(path) as other:
        other.open("s").claim()


def test_a_killed_process_has_nothing(path: Path, hold: Any) -> None:
    holder = hold()
    with SqliteSessionLog(path) as log:
        with pytest.raises(SessionInUse) as refused:
            log.open("s").claim()
        assert refused.value.pid == holder.pid
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
        assert len(owners(path)) == 2, "nobody was there to tidy up"
        log.open("s").claim()
        assert len(owners(path)) == 1, "but the next one does"
    assert owners(path) == []


def test_a_path_may_be_spelt_otherwise(path: Path, hold: Any) -> None:
    hold()
    link = path.parent / "link"
    link.symlink_to(path.parent, target_is_directory=True)
    with SqliteSessionLog(link / path.name) as log, pytest.raises(SessionInUse):
        log.open("s").claim()


def test_a_log_in_memory_has_nobody_to_keep_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with SqliteSessionLog(":memory:") as log:
        log.open("s").claim()
        assert os.listdir(tmp_path) == []


def test_of_many_who_want_a_session_one_gets_it(path: Path) -> None:
    logs = [SqliteSessionLog(path) for _ in range(8)]
    start = threading.Barrier(len(logs))
    got: list[SqliteSessionLog] = []

    def take(log: SqliteSessionLog) -> None:
        start.wait(10)
        try:
            log.open("s").claim()
        except SessionInUse:
            return
        got.append(log)

    threads = [threading.Thread(target=take, args=(log,)) for log in logs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(got) == 1
    for log in logs:
        log.close()
