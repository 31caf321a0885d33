"""A session that closes while its line is being opened does not wait for that, and leaves no thread at it."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from trunkline.supervision import ActorDown

FAR_S = 600.0  # a connect deadline that no test lives to see
SESSION = {"id": "sess_1", "object": "realtime.session", "type": "realtime", "model": "m"}


def connecting_threads() -> list[str]:
    """Not the actors: a worker that was killed is none any more, even while its thread waits for the socket."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ConnectWorker")]


def test_a_session_that_closes_during_a_stuck_upgrade_leaves_no_thread_at_it(
    raw_server: Any, start_broker: Any, read: Any, wait_until: Any
) -> None:
    first, lose, stuck = threading.Event(), threading.Event(), threading.Event()

    def script(peer: Any) -> None:
        if first.is_set():
            peer.read_request()
            stuck.set()
            peer.hold()
            return
        first.set()
        peer.upgrade()
        for type_ in ("session.created", "session.updated"):
            peer.send(json.dumps({"type": type_, "event_id": "e", "session": SESSION}))
        assert lose.wait(10)

    broker = start_broker(raw_server(script).url, connect_timeout_s=FAR_S)
    session = broker.connect().get(timeout=10)
    reader = read(session.events())
    lose.set()
    assert stuck.wait(10)
    assert connecting_threads()
    session.close().get(timeout=10)
    reader.rest()
    assert reader.seen[-1].reason == "client"
    wait_until(lambda: not connecting_threads(), connecting_threads)


def test_a_broker_that_stops_calls_off_every_attempt_to_connect(
    raw_server: Any, start_broker: Any, wait_until: Any
) -> None:
    heard = threading.Semaphore(0)

    def script(peer: Any) -> None:
        peer.read_request()
        heard.release()
        peer.hold()

    broker = start_broker(raw_server(script).url, connect_timeout_s=FAR_S)
    connecting = [broker.connect() for _ in range(3)]
    for _ in connecting:
        assert heard.acquire(timeout=10)
    assert len(connecting_threads()) == 3
    broker.stop().get(timeout=10)
    for future in connecting:
        with pytest.raises(ActorDown):
            future.get(timeout=10)
    wait_until(lambda: not connecting_threads(), connecting_threads)  # with the server still there
