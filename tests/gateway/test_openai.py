import pickle
import ssl
from functools import partial

import pytest

from trunkline.gateway.config import Config
from trunkline.gateway.errors import (
    ConfigError,
    ConnectError,
    HandshakeRefused,
    InsecureUrl,
    MissingApiKey,
    TlsFailed,
)
from trunkline.gateway.openai import OpenAIGateway
from trunkline.gateway.provider import Gateway

LIMIT_S = 30.0
KEY = "sk-secret-0123456789abcdef"


@pytest.fixture(autouse=True)
def no_key_in_the_environment(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def accepting(raw_server, handshake):
    """A server that upgrades, keeps the requests and waits for the client's CLOSE."""

    def script(sock):
        server.requests.append(handshake.read(sock).decode())
        sock.sendall(handshake.accept(server.requests[-1].encode()))
        sock.recv(1000)

    server = raw_server(script)
    return server


def connect_and_close(gateway, model="gpt-realtime-2"):
    gateway.connect(model, timeout_s=LIMIT_S).close(timeout_s=0.0)


def test_it_is_a_gateway():
    gateway: Gateway = OpenAIGateway()
    update = gateway.session_update(Config(instructions="be brief"))

    assert b'"type":"session.update"' in gateway.encode(update)
    assert b"be brief" in gateway.encode(update)
    assert b"be long" in gateway.encode(gateway.instructions_update("be long"))
    assert gateway.decode(memoryview(b'{"type":"input_audio_buffer.cleared","event_id":"e"}')).event_id == "e"


def test_the_request_names_model_key_organization_project_and_user_agent(accepting):
    gateway = OpenAIGateway(
        KEY,
        accepting.url,
        organization="org-1",
        project="proj-1",
        headers={"OpenAI-Safety-Identifier": "user-7"},
    )
    connect_and_close(gateway, "a&b c")
    (request,) = accepting.requests

    assert request.startswith("GET /v1/realtime?model=a%26b%20c HTTP/1.1\r\n")
    for line in (
        f"Authorization: Bearer {KEY}",
        "OpenAI-Organization: org-1",
        "OpenAI-Project: proj-1",
        "OpenAI-Safety-Identifier: user-7",
    ):
        assert f"\r\n{line}\r\n" in request
    assert "\r\nUser-Agent: trunkline/" in request
    assert "openai-beta" not in request.lower()
    assert KEY not in request.split("\r\n")[0]


def test_a_callable_key_is_asked_at_each_connect(accepting):
    keys = iter(["first-key", "second-key"])
    gateway = OpenAIGateway(lambda: next(keys), accepting.url)
    connect_and_close(gateway)
    connect_and_close(gateway)

    assert ["Bearer first-key" in accepting.requests[0], "Bearer second-key" in accepting.requests[1]] == [
        True,
        True,
    ]


def test_the_environments_key_is_read_at_each_connect(accepting, monkeypatch):
    gateway = OpenAIGateway(base_url=accepting.url)
    with pytest.raises(MissingApiKey):
        gateway.connect("m", timeout_s=LIMIT_S)
    monkeypatch.setenv("OPENAI_API_KEY", "env-key")
    connect_and_close(gateway)

    assert "Bearer env-key" in accepting.requests[0]


@pytest.mark.parametrize("source", [lambda: "", lambda: None])
def test_a_callable_that_has_no_key_is_a_missing_key(source):
    with pytest.raises(MissingApiKey):
        OpenAIGateway(source, "ws://127.0.0.1:1").connect("m", timeout_s=LIMIT_S)


def test_an_empty_key_is_a_missing_key_at_once():
    with pytest.raises(MissingApiKey):
        OpenAIGateway("")


@pytest.mark.parametrize("key", [KEY + "\n", "a b", "k\r\nX: y", "ключ", "\x00"])
def test_a_key_that_cannot_stand_in_a_header_is_refused_and_not_shown(key):
    for attempt in (
        lambda: OpenAIGateway(key),
        lambda: OpenAIGateway(lambda: key, "ws://127.0.0.1:1").connect("m", timeout_s=LIMIT_S),
    ):
        with pytest.raises(ConfigError) as error:
            attempt()
        assert error.value.field == "api_key"
        assert key.strip() not in str(error.value) + repr(vars(error.value))


def test_a_callable_that_raises_is_a_failed_attempt_that_tells_nothing_of_its_text():
    def broken():
        raise OSError(f"vault said {KEY}")

    with pytest.raises(ConnectError, match="OSError") as error:
        OpenAIGateway(broken, "ws://127.0.0.1:1").connect("m", timeout_s=LIMIT_S)
    assert error.value.recoverable
    assert KEY not in str(error.value) + repr(vars(error.value))
    assert error.value.__cause__ is None


@pytest.mark.parametrize(
    "name",
    ["Authorization", "authorization", "OpenAI-Beta", "openai-beta", "User-Agent", "OpenAI-Project", "Host"],
)
def test_a_header_that_is_not_the_callers_to_set_is_refused(name):
    with pytest.raises(ConfigError) as error:
        OpenAIGateway(KEY, headers={name: "x"})
    assert error.value.field == "headers"


@pytest.mark.parametrize(
    "options", [{"organization": "a\nb"}, {"project": "a\r\nb"}, {"headers": {"X-A": "b\n"}}]
)
def test_a_value_that_would_break_the_request_is_refused_at_once(options):
    with pytest.raises(ConfigError):
        OpenAIGateway(KEY, **options)


def test_an_empty_model_is_refused_before_anything_is_opened():
    with pytest.raises(ConfigError) as error:
        OpenAIGateway(KEY, "ws://127.0.0.1:1").connect("", timeout_s=LIMIT_S)
    assert error.value.field == "model"


def test_bad_settings_fail_when_the_gateway_is_made():
    with pytest.raises(ConfigError):
        OpenAIGateway(KEY, "not a url")
    with pytest.raises(InsecureUrl):
        OpenAIGateway(KEY, "ws://example.com/")
    with pytest.raises(ConfigError):
        OpenAIGateway(KEY, proxy="socks5://proxy")
    OpenAIGateway(KEY, "ws://example.com/", allow_insecure=True)


def test_a_refused_key_is_a_typed_error_without_the_key(answer):
    body = f'{{"error": {{"message": "Incorrect API key provided: {KEY}"}}}}'.encode()
    server = answer(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    with pytest.raises(HandshakeRefused) as error:
        OpenAIGateway(KEY, server.url).connect("m", timeout_s=LIMIT_S)

    assert (error.value.status, error.value.recoverable) == (401, False)
    assert KEY not in str(error.value) + repr(vars(error.value))


@pytest.mark.parametrize("key", [KEY, lambda: KEY])
def test_the_repr_shows_neither_key_nor_query(key):
    text = repr(OpenAIGateway(key, "wss://h/p?api-key=hunter2", headers={"X-Token": "hunter3"}))

    assert text == "OpenAIGateway(base_url='wss://h/p', api_key='***')"


def test_a_gateway_pickles_as_a_recipe_even_after_it_was_used(accepting, raw_server):
    gateway = OpenAIGateway(partial(str, "made-key"), accepting.url, headers={"X-A": "b"})
    connect_and_close(gateway)
    copy = pickle.loads(pickle.dumps(gateway))
    connect_and_close(copy)

    assert repr(copy) == repr(gateway)
    first, second = (request.split("\r\n") for request in accepting.requests)
    assert {line for line in first if "Sec-" not in line} == {line for line in second if "Sec-" not in line}


def test_the_pickle_of_a_gateway_that_has_no_key_of_its_own_holds_none(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    assert KEY.encode() not in pickle.dumps(OpenAIGateway())


def test_one_tls_context_serves_all_connects_and_verifies(raw_server):
    server = raw_server(lambda sock: sock.recv(10_000) and None)
    gateway = OpenAIGateway(KEY, server.url.replace("ws://", "wss://"))
    contexts = set()
    for _ in range(2):
        with pytest.raises(ConnectError):
            gateway.connect("m", timeout_s=LIMIT_S)
        contexts.add(gateway._line.ssl_context())

    (context,) = contexts
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert pickle.loads(pickle.dumps(gateway))._line.ssl_context() is not context


def test_a_given_tls_context_is_used(raw_server, tls_contexts, handshake):
    def script(sock):
        try:
            with tls_contexts[0].wrap_socket(sock, server_side=True) as secure:
                secure.sendall(handshake.accept(handshake.read(secure)))
                secure.recv(1000)
        except ssl.SSLError:
            pass  # the untrusting client of the second attempt

    server = raw_server(script, tls_contexts[0])
    connect_and_close(OpenAIGateway(KEY, server.url, ssl_context=tls_contexts[1]))
    with pytest.raises(TlsFailed):
        OpenAIGateway(KEY, server.url).connect("m", timeout_s=LIMIT_S)
    with pytest.raises(TypeError, match="ssl_context"):
        pickle.dumps(OpenAIGateway(KEY, server.url, ssl_context=tls_contexts[1]))


@pytest.mark.parametrize(
    ("root", "endpoint"),
    [
        ("", "wss://api.openai.com/v1/realtime"),
        ("https://proxy.example/v1", "https://proxy.example/v1/realtime"),
        ("https://proxy.example/v1/", "https://proxy.example/v1/realtime"),
        ("http://127.0.0.1:9/v1/realtime", "http://127.0.0.1:9/v1/realtime"),
    ],
)
def test_the_endpoint_is_below_the_base_url_of_openai_s_own_sdk(monkeypatch, root, endpoint):
    monkeypatch.setenv("OPENAI_BASE_URL", root)
    assert repr(OpenAIGateway()) == f"OpenAIGateway(base_url={endpoint!r})"
    assert (
        repr(OpenAIGateway(base_url="wss://other.example/x"))
        == "OpenAIGateway(base_url='wss://other.example/x')"
    )


def test_a_base_url_in_the_environment_is_checked_like_any_other(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://remote.example/v1")
    with pytest.raises(InsecureUrl):
        OpenAIGateway()
