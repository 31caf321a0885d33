"""What a connect that fails says, and that it leaves nothing behind. (Sockets and threads: the fixture looks.)"""

import pickle
import socket
import ssl
import threading

import pytest
import websocket
from websockets.sync.server import serve

from trunkline.gateway.dial import resolve
from trunkline.gateway.errors import ConnectError, ConnectTimeout, HandshakeRefused, TlsFailed, Unreachable
from trunkline.gateway.websocket_transport import connect_websocket

LIMIT_S = 30.0
KEY = "sk-secret-0123456789abcdef"
HEADERS = {"Authorization": f"Bearer {KEY}", "X-Custom": "another-secret-value"}


def fail_to_connect(url, timeout_s=LIMIT_S, **options):
    with pytest.raises(ConnectError) as caught:
        connect_websocket(url, headers=HEADERS, timeout_s=timeout_s, **options)
    error = caught.value
    everything = repr(error) + str(error) + repr(vars(error)) + repr(error.__cause__)
    assert KEY not in everything
    assert "another-secret-value" not in everything
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
    return error


def response(status, *headers, body=b""):
    lines = [f"HTTP/1.1 {status} Whatever".encode(), *headers, b"Content-Length: %d" % len(body), b"", b""]
    return b"\r\n".join(lines) + body


# ---------------------------------------------------------------------------------------------------- the good case


def test_a_well_behaved_server_answers(pump_until):
    def echo(connection):
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/v1/realtime?model=m"
        transport = connect_websocket(url, headers=HEADERS, timeout_s=LIMIT_S)
        transport.send("é".encode() * 100_000)
        assert pump_until(transport, 1) == ["é".encode() * 100_000]
        transport.close(timeout_s=LIMIT_S)
        server.shutdown()
        thread.join(LIMIT_S)


def test_the_request_carries_the_headers_once_and_neither_origin_nor_beta_nor_extensions(open_line):
    _, peer = open_line(headers=HEADERS)
    head = peer.head.decode().lower()

    assert head.startswith("get /v1/realtime?model=m http/1.1\r\n")
    assert head.count(f"authorization: bearer {KEY}\r\n") == 1
    assert head.count("x-custom: another-secret-value\r\n") == 1
    for absent in ("origin", "cookie", "openai-beta", "sec-websocket-extensions", "sec-websocket-protocol"):
        assert f"\r\n{absent}:" not in head


# ------------------------------------------------------------------------------------------------------- HTTP answers


@pytest.mark.parametrize(
    ("status", "recoverable"),
    [
        (200, False),
        (400, False),
        (401, False),
        (403, False),
        (404, False),
        (426, False),
        (429, True),
        (500, True),
        (503, True),
    ],
)
def test_an_http_error_is_a_refusal_with_its_status(answer, status, recoverable):
    server = answer(response(status, body=b'{"error": {"message": "no"}}'))
    error = fail_to_connect(server.url)

    assert isinstance(error, HandshakeRefused)
    assert (error.status, error.recoverable) == (status, recoverable)
    assert '"message": "no"' in str(error)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([b"Retry-After: 17"], 17.0),
        ([b"retry-after:  0 "], 0.0),
        ([b"Retry-After: Wed, 21 Oct 2026 07:28:30 GMT", b"Date: Wed, 21 Oct 2026 07:28:00 GMT"], 30.0),
        ([b"Retry-After: Wed, 21 Oct 2026 07:27:30 GMT", b"Date: Wed, 21 Oct 2026 07:28:00 GMT"], 0.0),
        ([b"Retry-After: Wed, 21 Oct 2026 07:28:30 GMT"], None),
        ([b"Retry-After: soon"], None),
        ([b"Retry-After: -5"], None),
        ([], None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(answer, headers, seconds):
    assert fail_to_connect(answer(response(429, *headers)).url).retry_after_s == seconds


def test_a_body_that_echoes_our_headers_shows_no_secret(answer):
    server = answer(response(401, body=f"Incorrect key: {KEY}, headers {HEADERS}".encode()))

    assert "Incorrect key" in str(fail_to_connect(server.url))


def test_an_answer_that_echoes_our_query_or_our_key_in_whatever_place_shows_no_secret(answer):
    for said in (
        response(400, body=b"GET /v1?code=another-secret-value"),
        b"HTTP/1.1 another-secret-value No\r\n\r\n",
        b"HTTP/1.1 " + KEY.encode() + b"\r\n\r\n",
        b"HTTP/1.1 101 Ok\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + KEY.encode()
        + b"\r\n\r\n",
    ):
        fail_to_connect(answer(said).url + "?code=another-secret-value")


def test_a_huge_body_is_cut_to_an_excerpt(answer):
    server = answer(response(500, body=b"x" * 1000))

    assert len(str(fail_to_connect(server.url))) < 500


def test_a_body_that_never_ends_costs_half_a_second_at_most(raw_server, handshake):
    done = threading.Event()

    def script(sock):
        handshake.read(sock)
        sock.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 1000000000000\r\n\r\npartial")
        assert done.wait(LIMIT_S)

    error = fail_to_connect(raw_server(script).url)
    done.set()

    assert (error.status, error.recoverable) == (503, True)
    assert "partial" in str(error)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(answer, status):
    elsewhere = answer(response(200))
    server = answer(response(status, f"Location: {elsewhere.url}?token=abc".encode()))
    error = fail_to_connect(server.url)

    assert isinstance(error, HandshakeRefused)
    assert error.status == status
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    "junk",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00\x01\x02\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 abc Bad\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bad\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nno colon\r\n\r\n",
        b"HTTP/1.1 101 \xff\xff\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    ],
    ids=[
        "ssh",
        "binary",
        "short",
        "no number",
        "no headers",
        "wrong accept",
        "no colon",
        "no utf8",
        "endless",
    ],
)
def test_an_answer_that_is_no_websocket_is_refused(answer, junk):
    assert isinstance(fail_to_connect(answer(junk).url), HandshakeRefused)


@pytest.mark.parametrize(
    "part", [b"", b"HTTP/1.1 101 Swit", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"]
)
def test_a_server_that_ends_the_connection_instead_of_answering_is_unreachable(answer, part):
    error = fail_to_connect(answer(part).url)

    assert isinstance(error, Unreachable)
    assert error.recoverable


# ----------------------------------------------------------------------------------------------------------- cookies


def test_cookies_are_neither_kept_nor_sent(open_line, raw_server, handshake):
    cookie = b"Set-Cookie: trace=one; Domain=localhost; Path=/"
    heads = []

    def script(sock):
        heads.append(handshake.read(sock))
        sock.sendall(handshake.accept(heads[-1], cookie, b"set-cookie: other=two; domain=127.0.0.1"))
        sock.recv(1000)

    server = raw_server(script)
    for _ in range(2):
        connect_websocket(server.url, headers={}, timeout_s=LIMIT_S).close(timeout_s=0.0)

    assert len(heads) == 2
    assert all(b"cookie" not in head.lower() for head in heads)
    assert websocket._handshake.CookieJar.jar == {}


def test_a_cookie_that_another_user_of_websocket_client_has_stored_is_not_sent(open_line):
    websocket._handshake.CookieJar.add("theirs=secret; domain=localhost")
    try:
        _, peer = open_line()
    finally:
        websocket._handshake.CookieJar.jar.clear()

    assert b"cookie" not in peer.head.lower()
    assert b"theirs" not in peer.head


# ---------------------------------------------------------------------------------------------------------- network


def test_a_port_where_nobody_listens_is_unreachable(refusing_port):
    error = fail_to_connect(f"ws://127.0.0.1:{refusing_port}/")

    assert isinstance(error, Unreachable)
    assert f"127.0.0.1:{refusing_port}" in str(error)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 64 + ".invalid"])
def test_a_host_that_does_not_exist_is_unreachable(host, monkeypatch):
    def without_a_network(name, *arguments, **options):
        if name == "no-such-host.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return socket.getaddrinfo(name, *arguments, **options)

    monkeypatch.setattr(resolve, "__defaults__", (without_a_network,))
    error = fail_to_connect(f"ws://{host}/", proxy="")

    assert isinstance(error, Unreachable)
    assert host in str(error)


def test_localhost_is_reached_though_only_one_of_its_addresses_listens(answer):
    server = answer(response(401))

    assert fail_to_connect(server.url.replace("127.0.0.1", "localhost")).status == 401


def test_a_server_that_accepts_and_says_nothing_is_a_timeout(raw_server):
    done = threading.Event()
    error = fail_to_connect(raw_server(lambda sock: done.wait(LIMIT_S)).url, timeout_s=0.2)
    done.set()

    assert isinstance(error, ConnectTimeout)
    assert error.recoverable


@pytest.mark.parametrize("wait_for_request", [True, False])
def test_a_server_that_drips_its_answer_cannot_stretch_the_deadline(raw_server, handshake, wait_for_request):
    done = threading.Event()

    def script(sock):
        if wait_for_request:
            handshake.read(sock)
        while not done.wait(0.02):
            sock.sendall(b"H" if wait_for_request else b"\x00")

    server = raw_server(script)
    error = fail_to_connect(server.url, timeout_s=0.3)
    done.set()

    assert isinstance(error, ConnectTimeout)


def test_a_host_that_never_accepts_is_a_timeout(deaf_address):
    host, port = deaf_address

    assert isinstance(fail_to_connect(f"ws://{host}:{port}/", timeout_s=0.3), ConnectTimeout)


# -------------------------------------------------------------------------------------------------------------- TLS


def tls_script(context, after=lambda sock: sock.recv(1)):
    def script(sock):
        try:
            with context.wrap_socket(sock, server_side=True) as secure:
                after(secure)
        except ssl.SSLError:
            pass  # the client refused us: what the test is about

    return script


def test_a_certificate_nobody_vouches_for_is_a_tls_failure(raw_server, tls_contexts):
    server = raw_server(tls_script(tls_contexts[0]), context=tls_contexts[0])
    error = fail_to_connect(server.url)

    assert isinstance(error, TlsFailed)
    assert not error.recoverable
    assert "certificate" in str(error)


def test_a_certificate_for_another_host_is_a_tls_failure(raw_server, tls_contexts, handshake):
    def script(sock):
        assert handshake.read(sock).startswith(b"CONNECT other.example:443 ")
        sock.sendall(response(200))
        tls_script(tls_contexts[0])(sock)

    proxy = f"http://127.0.0.1:{raw_server(script).port}"
    error = fail_to_connect("wss://other.example/", ssl_context=tls_contexts[1], proxy=proxy)

    assert isinstance(error, TlsFailed)
    assert "other.example" in str(error)


def test_a_server_that_speaks_no_tls_is_a_tls_failure(raw_server):
    def script(sock):
        sock.recv(4096)
        sock.sendall(response(400))

    error = fail_to_connect(raw_server(script).url.replace("ws://", "wss://"))

    assert isinstance(error, TlsFailed)


@pytest.mark.parametrize("n_read", [10, 65536], ids=["with a reset", "with an end"])
def test_a_server_that_hangs_up_during_tls_is_unreachable(raw_server, tls_contexts, n_read):
    server = raw_server(lambda sock: sock.recv(n_read), context=tls_contexts[0])
    error = fail_to_connect(server.url)

    assert isinstance(error, Unreachable)
    assert error.recoverable


def test_a_server_that_never_answers_the_client_hello_is_a_timeout(raw_server, tls_contexts):
    done = threading.Event()
    error = fail_to_connect(raw_server(lambda sock: done.wait(LIMIT_S), tls_contexts[0]).url, timeout_s=0.2)
    done.set()

    assert isinstance(error, ConnectTimeout)


def test_a_server_that_drips_its_tls_handshake_cannot_stretch_the_deadline(raw_server, tls_contexts):
    done = threading.Event()

    def script(sock):
        """Pass real handshake bytes on, one by one."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = tls_contexts[0].wrap_bio(incoming, outgoing, server_side=True)
        while not outgoing.pending:
            incoming.write(sock.recv(4096))
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
        while not done.wait(0.02):
            sock.sendall(outgoing.read(1))

    error = fail_to_connect(
        raw_server(script, tls_contexts[0]).url, timeout_s=0.3, ssl_context=tls_contexts[1]
    )
    done.set()

    assert isinstance(error, ConnectTimeout)


def test_an_http_error_over_tls_is_a_refusal_with_its_status(raw_server, tls_contexts, handshake):
    def refuse(secure):
        handshake.read(secure)
        secure.sendall(response(401, body=b"who are you?"))

    server = raw_server(tls_script(tls_contexts[0], refuse), context=tls_contexts[0])
    error = fail_to_connect(server.url, ssl_context=tls_contexts[1])

    assert error.status == 401
    assert "who are you?" in str(error)


def test_the_deadline_covers_all_stages_together(raw_server, tls_contexts, handshake):
    """Each stage takes two thirds of the time: a timeout per stage would let this through."""
    timeout_s, slow = 0.6, threading.Event()

    def answer_late(secure):
        handshake.read(secure)
        slow.wait(timeout_s * 2 / 3)
        secure.sendall(response(401))

    def script(sock):
        slow.wait(timeout_s * 2 / 3)
        tls_script(tls_contexts[0], answer_late)(sock)

    error = fail_to_connect(
        raw_server(script, tls_contexts[0]).url, timeout_s=timeout_s, ssl_context=tls_contexts[1]
    )

    assert isinstance(error, ConnectTimeout)
