"""Opens the byte stream under a line: name, TCP, proxy and TLS within one deadline. Owns the socket until it returns it.

The name lookup is the one step that cannot be interrupted: the C library's resolver has its own timeouts. It runs in a daemon
thread that is left behind when the deadline passes or the attempt is called off, and ends when the resolver gives up.
"""

import os
import selectors
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from .deadline import Deadline
from .errors import ConnectTimeout, TlsFailed, Unreachable
from .proxy import Proxy, open_tunnel
from .url import Endpoint

__all__ = ["dial", "resolve"]

_AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
_Resolver = Callable[..., list[Any]]


def resolve(
    host: str, port: int, deadline: Deadline, getaddrinfo: _Resolver = socket.getaddrinfo
) -> list[_AddressInfo]:
    """Return the addresses of a host, in the system's order of preference.

    Args:
        host: A name or an IP address; an address needs no lookup and no thread.
        port: The TCP port.
        deadline: When to stop waiting.
        getaddrinfo: The lookup, as in the socket module.

    Raises:
        Unreachable: there is no such host.
        TimeoutError: the resolver did not answer in time.
        ConnectCancelled: it was called off.
    """
    try:
        return list(getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    except (OSError, UnicodeError):
        pass  # a name
    answers: list[list[_AddressInfo] | OSError | UnicodeError] = []
    enough = threading.Event()

    def look_up() -> None:
        try:
            answers.append(list(getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:  # UnicodeError: a label longer than 63 characters
            answers.append(error)
        finally:
            enough.set()

    left_s = deadline.require()
    deadline.cancellation.watch(enough.set)
    threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
    enough.wait(left_s)
    deadline.cancellation.unwatch()
    if not answers:
        deadline.require()
        raise TimeoutError("the name lookup took too long")
    if isinstance(answer := answers[0], list):
        return answer
    raise Unreachable(f"the host name {host!r} cannot be resolved: {answer}") from answer


def dial(
    endpoint: Endpoint, *, deadline: Deadline, ssl_context: ssl.SSLContext | None, proxy: Proxy | None
) -> socket.socket:
    """Return a connected socket, with TLS established when the endpoint wants it. The deadline watches it from then on.

    Raises:
        Unreachable: no such host, nobody listens, no route, or the proxy refused.
        TlsFailed: the certificate did not verify, or no TLS could be agreed.
        ConnectTimeout: the deadline passed.
        ConnectCancelled: it was called off before a step. Within a step the socket fails, and the caller knows why.
    """
    stage = "looking up the name"
    sock: socket.socket | None = None
    try:
        hop = (proxy.host, proxy.port) if proxy else (endpoint.host, endpoint.port)
        addresses = resolve(*hop, deadline)
        stage = "opening the TCP connection"
        sock = _connect_any(addresses, deadline)
        if proxy:
            stage = "opening the proxy's tunnel"
            open_tunnel(sock, endpoint, proxy, deadline)
        if endpoint.secure:
            stage = "agreeing on TLS"
            sock = _secure(sock, endpoint, deadline, ssl_context)
    except TimeoutError as error:
        _discard(sock, deadline)
        raise ConnectTimeout(f"{endpoint}: {stage} did not end within {deadline.timeout_s:g} s") from error
    except OSError as error:
        _discard(sock, deadline)
        raise Unreachable(f"{endpoint}: {stage} failed: {error.strerror or error}") from error
    except BaseException:
        _discard(sock, deadline)
        raise
    return sock


def _discard(sock: socket.socket | None, deadline: Deadline) -> None:
    if sock is not None:
        deadline.discard(sock)


def _connect_any(addresses: list[_AddressInfo], deadline: Deadline) -> socket.socket:
    """Try the addresses in turn; one that does not answer costs its share of the time, not all of it."""
    failure: OSError = OSError("no address")
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            _connect(sock, address, deadline.require() / (len(addresses) - index), deadline)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except OSError as error:
            deadline.discard(sock)
            failure = error
        except BaseException:
            deadline.discard(sock)
            raise
        else:
            return sock
    raise failure


def _connect(sock: socket.socket, address: tuple[Any, ...], timeout_s: float, deadline: Deadline) -> None:
    """Connect; not by the socket's own timeout, because a socket can be shut down only once it has begun to connect."""
    sock.setblocking(False)
    try:
        sock.connect(address)
    except BlockingIOError:
        pass
    deadline.watch(sock)
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_WRITE)
        if not selector.select(timeout_s):
            raise TimeoutError("the host did not answer")
    if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, os.strerror(code))


def _secure(
    sock: socket.socket, endpoint: Endpoint, deadline: Deadline, ssl_context: ssl.SSLContext | None
) -> socket.socket:
    context = ssl_context or ssl.create_default_context()
    try:
        return _agree(sock, context, endpoint.host, deadline)
    except ssl.SSLCertVerificationError as error:
        raise TlsFailed(f"{endpoint}: the certificate did not verify: {error.verify_message}") from error
    except ssl.SSLEOFError:
        raise  # the connection was lost, as it is without TLS: worth another try
    except ssl.SSLError as error:
        raise TlsFailed(
            f"{endpoint}: TLS failed: {error.reason or 'the server ended the handshake'}"
        ) from error
    except ValueError as error:
        raise TlsFailed(f"{endpoint}: TLS failed: {error}") from error


def _agree(sock: socket.socket, context: ssl.SSLContext, host: str, deadline: Deadline) -> ssl.SSLSocket:
    secure = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    try:
        deadline.watch(secure)  # the other one has given its descriptor away
        # the ssl module takes the timeout as one bound for all reads and writes of a handshake
        deadline.govern(secure)
        secure.do_handshake()
    except BaseException:
        deadline.discard(secure)
        raise
    return secure
