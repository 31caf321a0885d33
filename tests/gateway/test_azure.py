"""Azure OpenAI: the GA endpoint, a key or a token, and nothing of either in what is shown."""

import pickle
from functools import partial

import pytest

from trunkline.gateway.azure import AzureOpenAIGateway
from trunkline.gateway.config import Config
from trunkline.gateway.errors import (
    ConfigError,
    ConnectError,
    HandshakeRefused,
    InsecureUrl,
    MissingApiKey,
)
from trunkline.gateway.provider import Gateway
from trunkline.gateway.simulator import Simulator

LIMIT_S = 30.0
KEY = "0123456789abcdef0123456789abcdef"
TOKEN = "eyJ0eXAi.eyJhdWQi.c2ln-bmF0_dXJl"
HOST = "https://my-resource.openai.azure.com"


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch):
    monkeypatch.delenv("AZURE_OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("AZURE_OPENAI_ENDPOINT", raising=False)


@pytest.fixture
def accepting(raw_server, handshake):
    """A server that upgrades, keeps the requests and waits for the client's CLOSE; `root` is what a resource's URL looks like."""

    def script(sock):
        server.requests.append(handshake.read(sock).decode())
        sock.sendall(handshake.accept(server.requests[-1].encode()))
        sock.recv(1000)

    server = raw_server(script)
    server.root = f"http://127.0.0.1:{server.port}"
    return server


def connect_and_close(gateway, deployment="my-deployment"):
    gateway.connect(deployment, timeout_s=LIMIT_S).close(timeout_s=0.0)


def names_of(request):
    return {line.partition(":")[0].lower() for line in request.split("\r\n")[1:] if line}


def test_it_is_a_gateway_that_speaks_the_ga_protocol():
    gateway: Gateway = AzureOpenAIGateway(HOST)
    update = gateway.session_update(Config(instructions="be brief"))

    assert update.session["type"] == "realtime"
    assert b"be brief" in gateway.encode(update)
    assert b"be long" in gateway.encode(gateway.instructions_update("be long"))
    assert gateway.decode(memoryview(b'{"type":"input_audio_buffer.cleared","event_id":"e"}')).event_id == "e"


@pytest.mark.parametrize("key", [KEY, lambda: KEY])
def test_a_key_is_sent_as_api_key_and_nothing_as_authorization(accepting, key):
    connect_and_close(AzureOpenAIGateway(accepting.root, api_key=key, headers={"X-A": "b"}), "dep/1 &2")
    (request,) = accepting.requests

    assert request.startswith("GET /openai/v1/realtime?model=dep%2F1%20%262 HTTP/1.1\r\n")
    assert f"\r\napi-key: {KEY}\r\n" in request
    assert "\r\nX-A: b\r\n" in request
    assert "authorization" not in names_of(request)
    assert "openai-beta" not in names_of(request)
    assert KEY not in request.split("\r\n")[0]


def test_a_token_is_asked_for_at_each_connect_and_sent_as_bearer(accepting, monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    tokens = iter(["first-token", "second-token"])
    gateway = AzureOpenAIGateway(accepting.root, token=lambda: next(tokens))
    connect_and_close(gateway)
    connect_and_close(gateway)

    for request, token in zip(accepting.requests, ("first-token", "second-token"), strict=True):
        assert f"\r\nAuthorization: Bearer {token}\r\n" in request
        assert "api-key" not in names_of(request)


def test_the_environments_key_is_read_at_each_connect(accepting, monkeypatch):
    gateway = AzureOpenAIGateway(accepting.root)
    with pytest.raises(MissingApiKey, match="AZURE_OPENAI_API_KEY"):
        gateway.connect("m", timeout_s=LIMIT_S)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "env-key")
    connect_and_close(gateway)

    assert "\r\napi-key: env-key\r\n" in accepting.requests[0]


def test_the_environments_endpoint_is_taken(monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", HOST)
    assert repr(AzureOpenAIGateway()) == f"AzureOpenAIGateway(endpoint='{HOST}/openai/v1/realtime')"


@pytest.mark.parametrize("endpoint", [None, "", "  "])
def test_without_an_endpoint_the_error_says_where_it_may_come_from(endpoint):
    with pytest.raises(ConfigError, match="AZURE_OPENAI_ENDPOINT") as error:
        AzureOpenAIGateway(endpoint)
    assert error.value.field == "endpoint"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (HOST, f"{HOST}/openai/v1/realtime"),
        (f" {HOST}/ ", f"{HOST}/openai/v1/realtime"),
        (f"{HOST}/openai", f"{HOST}/openai/v1/realtime"),
        (f"{HOST}/openai/v1/", f"{HOST}/openai/v1/realtime"),
        (f"{HOST}/openai/v1/realtime", f"{HOST}/openai/v1/realtime"),
        ("wss://gate.example/azure", "wss://gate.example/azure/openai/v1/realtime"),
        ("wss://gate.example/azure/openai/v1", "wss://gate.example/azure/openai/v1/realtime"),
    ],
)
def test_what_leads_to_the_realtime_endpoint_is_added(given, used):
    assert repr(AzureOpenAIGateway(given)) == f"AzureOpenAIGateway(endpoint='{used}')"


@pytest.mark.parametrize(
    "path",
    [
        "/openai/realtime",
        "/openai/realtime/?api-version=2025-04-01-preview&deployment=d",
        "/openai/v1/realtime?api-version=preview",
        "?api-version=",
        "/openai/v1?deployment=d",
        "/openai/deployments/d/realtime",
    ],
)
def test_the_previews_url_is_refused_with_what_to_use_instead(path):
    with pytest.raises(ConfigError, match=r"preview.*deprecated") as error:
        AzureOpenAIGateway(HOST + path)
    assert error.value.field == "endpoint"
    assert "https://<resource>.openai.azure.com" in error.value.allowed


@pytest.mark.parametrize("endpoint", ["no url", "ftp://h", "https://", "https://u:p@h", "http://[", 7])
def test_what_is_no_url_is_refused_by_the_name_of_the_setting(endpoint):
    with pytest.raises(ConfigError) as error:
        AzureOpenAIGateway(endpoint)
    assert error.value.field == "endpoint"


def test_ws_to_another_machine_is_refused_unless_it_is_allowed():
    with pytest.raises(InsecureUrl):
        AzureOpenAIGateway("http://my-resource.openai.azure.com")
    AzureOpenAIGateway("http://my-resource.openai.azure.com", allow_insecure=True)


def test_key_and_token_together_are_refused_and_neither_is_shown():
    with pytest.raises(ConfigError) as error:
        AzureOpenAIGateway(HOST, api_key=KEY, token=TOKEN)
    assert "not both" in str(error.value)
    assert KEY not in str(error.value) + repr(vars(error.value))
    assert TOKEN not in str(error.value) + repr(vars(error.value))


@pytest.mark.parametrize("name", ["api-key", "Api-Key", "Authorization", "User-Agent", "OpenAI-Beta", "Host"])
def test_a_header_that_is_not_the_callers_to_set_is_refused(name):
    with pytest.raises(ConfigError) as error:
        AzureOpenAIGateway(HOST, headers={name: "x"})
    assert error.value.field == "headers"


@pytest.mark.parametrize("setting", ["api_key", "token"])
@pytest.mark.parametrize("secret", [KEY + "\n", "a b", "k\r\nX: y", "ключ"])
def test_a_secret_that_cannot_stand_in_a_header_is_refused_and_not_shown(setting, secret):
    for attempt in (
        lambda: AzureOpenAIGateway(HOST, **{setting: secret}),
        lambda: AzureOpenAIGateway(HOST, **{setting: lambda: secret}).connect("m", timeout_s=LIMIT_S),
    ):
        with pytest.raises(ConfigError) as error:
            attempt()
        assert error.value.field == setting
        assert secret.strip() not in str(error.value) + repr(vars(error.value))


@pytest.mark.parametrize("setting", ["api_key", "token"])
def test_a_callable_that_raises_is_a_failed_attempt_that_tells_nothing_of_its_text(setting):
    def broken():
        raise OSError(f"the identity service said {TOKEN}")

    with pytest.raises(ConnectError, match=f"{setting} callable raised OSError") as error:
        AzureOpenAIGateway(HOST, **{setting: broken}).connect("m", timeout_s=LIMIT_S)
    assert error.value.recoverable
    assert error.value.code == f"{setting}_unavailable"
    assert TOKEN not in str(error.value) + repr(vars(error.value))
    assert error.value.__cause__ is None


@pytest.mark.parametrize("setting", ["api_key", "token"])
@pytest.mark.parametrize("secret", ["", lambda: "", lambda: None])
def test_no_secret_is_a_missing_key(setting, secret):
    with pytest.raises(MissingApiKey):
        AzureOpenAIGateway(HOST, **{setting: secret}).connect("m", timeout_s=LIMIT_S)


@pytest.mark.parametrize("secret", [TOKEN, lambda: TOKEN])
@pytest.mark.parametrize("setting", ["api_key", "token"])
def test_the_repr_shows_neither_secret_nor_query(setting, secret):
    gateway = AzureOpenAIGateway(f"{HOST}?subscription-key=hush", **{setting: secret})
    assert repr(gateway) == f"AzureOpenAIGateway(endpoint='{HOST}/openai/v1/realtime', {setting}='***')"
    assert TOKEN not in repr(vars(gateway))


@pytest.mark.parametrize("setting", ["api_key", "token"])
def test_a_refusal_that_repeats_the_secret_is_told_without_it(answer, setting):
    body = f"we do not know {KEY}".encode()
    server = answer(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    gateway = AzureOpenAIGateway(f"http://127.0.0.1:{server.port}", **{setting: KEY})
    with pytest.raises(HandshakeRefused) as error:
        gateway.connect("m", timeout_s=LIMIT_S)

    assert (error.value.status, error.value.recoverable) == (401, False)
    assert KEY not in str(error.value) + repr(vars(error.value))


def test_a_gateway_pickles_as_a_recipe_even_after_it_was_used(accepting):
    gateway = AzureOpenAIGateway(accepting.root, token=partial(str, "made-token"), headers={"X-A": "b"})
    connect_and_close(gateway)
    copy = pickle.loads(pickle.dumps(gateway))
    connect_and_close(copy)

    assert repr(copy) == repr(gateway)
    first, second = (request.split("\r\n") for request in accepting.requests)
    assert {line for line in first if "Sec-" not in line} == {line for line in second if "Sec-" not in line}


def test_the_pickle_of_a_gateway_that_has_no_secret_of_its_own_holds_none(monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    assert KEY.encode() not in pickle.dumps(AzureOpenAIGateway(HOST))


@pytest.mark.parametrize("setting", ["api_key", "token"])
def test_the_simulator_lets_it_in_with_the_right_secret_and_not_with_another(setting, pump_until):
    def connect(secret):
        gateway = AzureOpenAIGateway(simulator.url.replace("/v1/realtime", ""), **{setting: secret})
        return gateway.connect("gpt-realtime-2", timeout_s=LIMIT_S)

    with Simulator(api_key=KEY) as simulator:
        right, wrong = connect(KEY), connect("wrong")
        (created,) = pump_until(right, 1)
        _, closed = pump_until(wrong)
        right.close(timeout_s=0.0)
        wrong.close(timeout_s=0.0)

    assert AzureOpenAIGateway.decode(created).type == "session.created"
    assert (closed.close_code, closed.code) == (3000, "invalid_api_key")
