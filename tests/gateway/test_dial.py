import socket
import threading

import pytest

from trunkline.gateway.deadline import Deadline
from trunkline.gateway.dial import _connect_any, dial, resolve
from trunkline.gateway.errors import ConnectTimeout, Unreachable
from trunkline.gateway.url import Endpoint

LIMIT_S = 30.0


def test_an_ip_address_is_resolved_without_a_thread():
    threads = []

    def getaddrinfo(*args, **options):
        threads.append(threading.current_thread())
        return socket.getaddrinfo(*args, **options)

    (address,) = resolve("127.0.0.1", 80, Deadline(LIMIT_S), getaddrinfo)

    assert address[4] == ("127.0.0.1", 80)
    assert threads == [threading.current_thread()]


def test_a_resolver_that_hangs_costs_no_more_than_the_deadline():
    done = threading.Event()

    def getaddrinfo(host, port, **options):
        if options.get("flags") == socket.AI_NUMERICHOST:
            raise socket.gaierror
        done.wait(LIMIT_S)
        return []

    with pytest.raises(TimeoutError):
        resolve("host.example", 80, Deadline(0.1), getaddrinfo)
    done.set()


def test_a_host_without_an_address_is_unreachable():
    def getaddrinfo(host, port, **options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(Unreachable, match=r"host\.example"):
        resolve("host.example", 80, Deadline(LIMIT_S), getaddrinfo)


def test_a_deadline_that_has_passed_opens_nothing():
    with pytest.raises(ConnectTimeout):
        dial(Endpoint("127.0.0.1", 9, False), deadline=Deadline(0.0), ssl_context=None, proxy=None)


def test_the_socket_sends_small_frames_at_once_and_is_kept_alive():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = Endpoint("localhost", listener.getsockname()[1], False)
        with dial(endpoint, deadline=Deadline(LIMIT_S), ssl_context=None, proxy=None) as sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_an_address_that_does_not_answer_leaves_time_for_the_next(deaf_address):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        addresses = [
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", at) for at in (deaf_address, listener.getsockname())
        ]
        with _connect_any(addresses, Deadline(4.0)) as sock:
            assert sock.getpeername() == listener.getsockname()
