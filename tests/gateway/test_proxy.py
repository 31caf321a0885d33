import threading

import pytest

from trunkline.gateway.errors import ConfigError, ConnectTimeout, Unreachable
from trunkline.gateway.proxy import Proxy, proxy_for
from trunkline.gateway.url import Endpoint
from trunkline.gateway.websocket_transport import connect_websocket

LIMIT_S = 30.0
REMOTE = Endpoint("realtime.example", 443, True)
REMOTE_PLAIN = Endpoint("realtime.example", 80, False)


@pytest.fixture(autouse=True)
def no_proxy_in_the_environment(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ws_proxy", "wss_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy:3128", Proxy("proxy", 3128)),
        ("proxy:3128", Proxy("proxy", 3128)),
        ("http://proxy", Proxy("proxy", 80)),
        ("http://me:p%40ss@proxy:1/", Proxy("proxy", 1, "Basic bWU6cEBzcw==")),
        ("http://me@proxy:1", Proxy("proxy", 1, "Basic bWU6")),
    ],
)
def test_a_proxy_url_is_read(url, proxy):
    assert Proxy.parse(url) == proxy


@pytest.mark.parametrize(
    "url",
    [
        "socks5://me:hunter2@proxy:1080",
        "https://me:hunter2@proxy",
        "http://",
        "http://me:hunter2@proxy:99999",
    ],
)
def test_another_kind_of_proxy_is_refused_without_showing_its_password(url):
    with pytest.raises(ConfigError) as error:
        Proxy.parse(url)
    assert error.value.field == "proxy"
    assert "hunter2" not in str(error.value) + repr(vars(error.value))


def test_credentials_are_not_shown():
    assert "bWU6" not in repr(Proxy.parse("http://me:secret@proxy"))


def test_the_environments_proxy_is_used_for_remote_hosts_by_scheme(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://secure:1")
    monkeypatch.setenv("http_proxy", "http://plain:2")

    assert proxy_for(REMOTE, None) == Proxy("secure", 1)
    assert proxy_for(REMOTE_PLAIN, None) == Proxy("plain", 2)


def test_all_proxy_serves_where_no_other_is_named(monkeypatch):
    monkeypatch.setenv("all_proxy", "http://all:3")

    assert proxy_for(REMOTE, None) == Proxy("all", 3)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_the_environments_proxy_is_ignored_for_loopback(monkeypatch, host):
    monkeypatch.setenv("https_proxy", "http://secure:1")
    monkeypatch.setenv("http_proxy", "http://plain:2")
    monkeypatch.setenv("all_proxy", "http://all:3")

    assert proxy_for(Endpoint(host, 1, False), None) is None
    assert proxy_for(Endpoint(host, 1, True), None) is None


def test_no_proxy_names_hosts_that_are_reached_directly(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://secure:1")
    monkeypatch.setenv("no_proxy", "realtime.example")

    assert proxy_for(REMOTE, None) is None


def test_an_explicit_proxy_wins_and_an_empty_one_means_none(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://secure:1")

    assert proxy_for(REMOTE, "http://mine:4") == Proxy("mine", 4)
    assert proxy_for(REMOTE, "") is None
    assert proxy_for(Endpoint("localhost", 1, False), "http://mine:4") == Proxy("mine", 4)


def test_a_line_goes_through_the_proxys_tunnel(raw_server, handshake, pump_until, wire):
    requests = []

    def script(sock):
        requests.append(handshake.read(sock))
        sock.sendall(b"HTTP/1.1 200 Connection established\r\nProxy-Agent: x\r\n\r\n")
        requests.append(handshake.read(sock))
        sock.sendall(handshake.accept(requests[-1]) + wire.frame("through the tunnel"))
        sock.recv(1000)

    proxy = f"http://me:secret@127.0.0.1:{raw_server(script).port}"
    transport = connect_websocket("ws://far.example/p", headers={"A": "b"}, timeout_s=LIMIT_S, proxy=proxy)

    assert pump_until(transport, 1) == [b"through the tunnel"]
    transport.close(timeout_s=0.0)
    assert requests[0].startswith(b"CONNECT far.example:80 HTTP/1.1\r\nHost: far.example:80\r\n")
    assert b"Proxy-Authorization: Basic bWU6c2VjcmV0\r\n" in requests[0]
    assert b"A: b" not in requests[0]
    assert b"Proxy-Authorization" not in requests[1]


def test_the_environments_proxy_is_used_for_a_remote_line(raw_server, handshake, monkeypatch):
    requests = []

    def script(sock):
        requests.append(handshake.read(sock))
        sock.sendall(b"HTTP/1.1 403 No\r\n\r\n")

    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{raw_server(script).port}")
    with pytest.raises(Unreachable, match="403"):
        connect_websocket("ws://far.example/", headers={}, timeout_s=LIMIT_S)
    assert requests[0].startswith(b"CONNECT far.example:80 ")


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 407 Who are you\r\n\r\n", b"junk\r\n\r\n", b"", b"HTTP/1.1\r\n\r\n", b"x" * 70_000]
)
def test_a_proxy_that_opens_no_tunnel_is_unreachable_and_its_password_not_shown(raw_server, handshake, reply):
    def script(sock):
        handshake.read(sock)
        sock.sendall(reply)

    proxy = f"http://me:hunter2@127.0.0.1:{raw_server(script).port}"
    with pytest.raises(Unreachable) as error:
        connect_websocket("wss://far.example/", headers={}, timeout_s=LIMIT_S, proxy=proxy)
    assert "hunter2" not in str(error.value) + repr(vars(error.value))


@pytest.mark.parametrize(
    ("status", "recoverable"), [(403, False), (407, False), (429, True), (502, True), (504, True)]
)
def test_what_a_proxy_refuses_is_tried_again_only_if_that_can_change(
    raw_server, handshake, status, recoverable
):
    def script(sock):
        handshake.read(sock)
        sock.sendall(b"HTTP/1.1 %d No\r\n\r\n" % status)

    proxy = f"http://127.0.0.1:{raw_server(script).port}"
    with pytest.raises(Unreachable, match=str(status)) as error:
        connect_websocket("ws://far.example/", headers={}, timeout_s=LIMIT_S, proxy=proxy)
    assert error.value.recoverable is recoverable


def test_a_proxy_that_drips_cannot_stretch_the_deadline(raw_server, handshake):

    done = threading.Event()

    def script(sock):
        handshake.read(sock)
        while not done.wait(0.02):
            sock.sendall(b"H")

    proxy = f"http://127.0.0.1:{raw_server(script).port}"
    with pytest.raises(ConnectTimeout):
        connect_websocket("wss://far.example/", headers={}, timeout_s=0.3, proxy=proxy)
    done.set()
