"""An attempt to connect that is called off ends at once, wherever it waits. (Sockets and threads: the fixture looks.)"""

import contextlib
import socket
import threading
import time

import pytest

from trunkline.gateway.cancellation import Cancellation, cancellable_by, current_cancellation
from trunkline.gateway.deadline import Deadline
from trunkline.gateway.dial import resolve
from trunkline.gateway.errors import ConnectCancelled, ConnectError, Unreachable
from trunkline.gateway.websocket_transport import connect_websocket

LIMIT_S = 30.0
FAR_S = 1000.0  # a deadline that no test lives to see


class Connecting:
    """A connection attempt in a thread of its own."""

    def __init__(self, url, cancellation, **options):
        self.outcome = None
        self.thread = threading.Thread(target=self.run, args=(url, cancellation, options), daemon=True)
        self.thread.start()

    def run(self, url, cancellation, options):
        try:
            with cancellable_by(cancellation):
                self.outcome = connect_websocket(url, headers={}, timeout_s=FAR_S, **options)
        except ConnectError as error:
            self.outcome = error

    def end(self):
        self.thread.join(LIMIT_S)
        assert not self.thread.is_alive(), "it is still waiting"
        return self.outcome


@pytest.fixture
def silent_server(raw_server):
    """A server that reads what comes and never answers; `heard` is set when something came."""
    heard = threading.Event()

    def script(sock):
        while sock.recv(4096):
            heard.set()

    server = raw_server(script)
    server.heard = heard
    return server


def syn_sent(port):
    """How many sockets of this machine wait for that port to answer."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "02" for row in rows)


def until(condition):
    deadline, pause = time.monotonic() + LIMIT_S, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        pause.wait(0.005)


# ------------------------------------------------------------------------------------------------- where an attempt waits


@pytest.mark.parametrize("where", ["upgrade", "TLS", "the proxy's tunnel"])
def test_an_attempt_that_waits_for_an_answer_ends_at_once(silent_server, where):
    port = silent_server.port
    url, options = {
        "upgrade": (silent_server.url, {}),
        "TLS": (f"wss://localhost:{port}/", {}),
        "the proxy's tunnel": ("ws://far.example/", {"proxy": f"http://127.0.0.1:{port}"}),
    }[where]
    cancellation = Cancellation()
    attempt = Connecting(url, cancellation, **options)
    assert silent_server.heard.wait(LIMIT_S)
    cancellation.cancel()

    assert type(attempt.end()) is ConnectCancelled


def test_an_attempt_that_waits_within_the_proxys_tunnel_ends_at_once(raw_server, handshake):
    silent = threading.Event()

    def script(sock):
        handshake.read(sock)
        sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        while sock.recv(4096):
            silent.set()

    cancellation = Cancellation()
    proxy = f"http://127.0.0.1:{raw_server(script).port}"
    attempt = Connecting("wss://far.example/", cancellation, proxy=proxy)
    assert silent.wait(LIMIT_S)
    cancellation.cancel()

    assert type(attempt.end()) is ConnectCancelled


def test_an_attempt_that_waits_for_tcp_ends_at_once(deaf_address):
    host, port = deaf_address
    before = syn_sent(port)
    cancellation = Cancellation()
    attempt = Connecting(f"ws://{host}:{port}/", cancellation)
    until(lambda: syn_sent(port) > before)
    cancellation.cancel()

    assert type(attempt.end()) is ConnectCancelled


def test_an_attempt_that_waits_for_a_name_ends_at_once_and_the_answer_is_dropped():
    asked, done = threading.Event(), threading.Event()

    def getaddrinfo(host, port, **options):
        if options.get("flags") == socket.AI_NUMERICHOST:
            raise socket.gaierror
        asked.set()
        done.wait(LIMIT_S)
        return []

    def cancel_when_asked():
        assert asked.wait(LIMIT_S)
        cancellation.cancel()

    cancellation = Cancellation()
    canceller = threading.Thread(target=cancel_when_asked, daemon=True)
    canceller.start()
    with pytest.raises(ConnectCancelled):
        resolve("host.example", 80, Deadline(FAR_S, cancellation), getaddrinfo)
    done.set()
    canceller.join(LIMIT_S)


def test_an_attempt_that_was_called_off_before_it_began_opens_nothing(silent_server):
    cancellation = Cancellation()
    cancellation.cancel()

    assert type(Connecting(silent_server.url, cancellation).end()) is ConnectCancelled
    assert not silent_server.heard.is_set()


# ------------------------------------------------------------------------------------------------------ what stays as it is


def test_a_line_that_is_open_is_not_touched_any_more(raw_server, handshake, pump_until, wire):
    cancelled = threading.Event()

    def script(sock):
        sock.sendall(handshake.accept(handshake.read(sock)))
        assert cancelled.wait(LIMIT_S)
        sock.sendall(wire.frame("still here"))
        sock.recv(1000)

    cancellation = Cancellation()
    transport = Connecting(raw_server(script).url, cancellation).end()
    cancellation.cancel()
    cancelled.set()

    assert pump_until(transport, 1) == [b"still here"]
    transport.close(timeout_s=0.0)


def test_a_failure_of_its_own_is_told_as_it_is(refusing_port):
    assert type(Connecting(f"ws://127.0.0.1:{refusing_port}/", Cancellation()).end()) is Unreachable


def test_one_attempt_that_is_called_off_leaves_its_neighbour_alone(raw_server, handshake):
    begun, go = threading.Semaphore(0), threading.Event()

    def script(sock):
        head = handshake.read(sock)
        begun.release()
        assert go.wait(LIMIT_S)
        sock.sendall(handshake.accept(head))
        sock.recv(1000)

    url = raw_server(script).url
    mine, other = Cancellation(), Cancellation()
    attempts = [Connecting(url, mine), Connecting(url, other)]
    assert begun.acquire(timeout=LIMIT_S)
    assert begun.acquire(timeout=LIMIT_S)
    mine.cancel()
    assert type(attempts[0].end()) is ConnectCancelled
    go.set()
    attempts[1].end().close(timeout_s=0.0)


# ---------------------------------------------------------------------------------------------------------- the handle


def test_what_is_watched_is_woken_once_and_what_comes_later_at_once():
    woken = []
    cancellation = Cancellation()
    assert not cancellation.cancelled
    cancellation.watch(lambda: woken.append("first"))
    cancellation.cancel()
    cancellation.cancel()
    assert (cancellation.cancelled, woken) == (True, ["first"])
    cancellation.watch(lambda: woken.append("second"))
    assert woken == ["first", "second"]


def test_what_is_no_longer_watched_is_not_woken():
    cancellation = Cancellation()
    cancellation.watch(lambda: pytest.fail("woken"))
    cancellation.unwatch()
    cancellation.cancel()


def test_it_holds_within_its_block_and_in_its_thread_alone():
    outer, inner = Cancellation(), Cancellation()
    seen = []
    assert current_cancellation() is None
    with cancellable_by(outer):
        with contextlib.suppress(ZeroDivisionError), cancellable_by(inner):
            seen.append(current_cancellation())
            raise ZeroDivisionError
        thread = threading.Thread(target=lambda: seen.append(current_cancellation()))
        thread.start()
        thread.join(LIMIT_S)
        seen.append(current_cancellation())
    assert seen == [inner, None, outer]
    assert current_cancellation() is None


def test_an_attempt_that_is_called_off_as_it_ends_gives_no_line(raw_server, handshake):
    class AtTheLastMoment(Cancellation):
        def unwatch(self):
            super().cancel()
            super().unwatch()

    def script(sock):
        sock.sendall(handshake.accept(handshake.read(sock)))
        assert sock.recv(1) == b"", "the line was kept"

    connecting = Connecting(raw_server(script).url, AtTheLastMoment())
    assert isinstance(connecting.end(), ConnectCancelled)
