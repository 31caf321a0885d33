import pytest

from trunkline.gateway.errors import ConfigError, InsecureUrl
from trunkline.gateway.url import Endpoint, parse_endpoint, public_url, with_model


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("wss://api.openai.com/v1/realtime", "wss://api.openai.com/v1/realtime?model=m"),
        ("https://api.openai.com/v1/realtime", "wss://api.openai.com/v1/realtime?model=m"),
        ("http://localhost:8080/v1/realtime", "ws://localhost:8080/v1/realtime?model=m"),
        ("ws://127.0.0.1:1/x", "ws://127.0.0.1:1/x?model=m"),
        ("ws://[::1]:1", "ws://[::1]:1/?model=m"),
        ("WSS://Host/Path", "wss://Host/Path?model=m"),
        ("wss://h/p?api-version=2025-01-01&b=%20c", "wss://h/p?api-version=2025-01-01&b=%20c&model=m"),
        ("wss://h/p?model=old&a=b", "wss://h/p?a=b&model=m"),
        ("wss://h/p?", "wss://h/p?model=m"),
        ("wss://h/p#fragment", "wss://h/p?model=m"),
    ],
)
def test_the_model_joins_the_query_that_is_there(base_url, url):
    assert with_model(base_url, "m") == url


@pytest.mark.parametrize(
    ("model", "encoded"),
    [
        ("gpt-realtime-2", "gpt-realtime-2"),
        ("a&b=c+d e/f?#%", "a%26b%3Dc%2Bd%20e%2Ff%3F%23%25"),
        ("ü", "%C3%BC"),
        (" m ", "m"),
    ],
)
def test_the_model_is_url_encoded(model, encoded):
    assert with_model("wss://h/p", model) == f"wss://h/p?model={encoded}"


@pytest.mark.parametrize("model", ["", "  ", "\n", None, 7])
def test_an_empty_model_is_refused(model):
    with pytest.raises(ConfigError) as error:
        with_model("wss://h/p", model)
    assert error.value.field == "model"


NO_URLS = [
    "",
    "api.openai.com",
    "ftp://h",
    "wss://",
    "wss:///p",
    "wss://h:0/",
    "wss://h:99999/",
    "wss://h:x/",
]


@pytest.mark.parametrize(
    "base_url", [*NO_URLS, "wss://h/a b", "wss://h/\r\nX: y", "wss://[::1", "wss://ü.example/"]
)
def test_a_base_url_that_is_none_is_refused_by_its_name(base_url):
    with pytest.raises(ConfigError) as error:
        with_model(base_url, "m")
    assert error.value.field == "base_url"


@pytest.mark.parametrize(
    "url",
    [
        "wss://me:hunter2@h/p",
        "wss://me:hunter2@[h/p",
        "wss://me:hunter2@h:99999/p",
        "wss://me:hunter2@h/p q",
        "wss://me:hunter2/x@h p",
        "wss://hunter2@h\n",
        "ftp://h/p?api-key=hunter2",
        "ftp://h/p#hunter2",
        "ftp://h/p?\nhunter2",
    ],
)
def test_a_url_that_is_refused_does_not_show_its_user_password_query_and_fragment(url):
    with pytest.raises(ConfigError) as error:
        with_model(url, "m")
    assert "hunter2" not in str(error.value) + repr(vars(error.value))


@pytest.mark.parametrize(
    "base_url", ["ws://example.com/", "http://10.0.0.1/", "ws://localhost.example.com/", "ws://128.0.0.1/"]
)
def test_a_plain_url_to_another_machine_is_refused_unless_allowed(base_url):
    with pytest.raises(InsecureUrl):
        with_model(base_url, "m")
    assert with_model(base_url, "m", allow_insecure=True).startswith("ws://")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST".lower() + ".", True),
        ("sub.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("127.0.0.1.example.com", False),
        ("notlocalhost", False),
        ("::2", False),
        ("example.com", False),
    ],
)
def test_loopback_is_told_by_name_or_number_alone(host, loopback):
    assert Endpoint(host, 1, False).is_loopback is loopback


@pytest.mark.parametrize(
    ("url", "endpoint", "text"),
    [
        ("wss://h/", Endpoint("h", 443, True), "h:443"),
        ("ws://H:8/", Endpoint("h", 8, False), "h:8"),
        ("http://[::1]/", Endpoint("::1", 80, False), "[::1]:80"),
    ],
)
def test_an_endpoint_is_host_port_and_whether_it_is_tls(url, endpoint, text):
    assert parse_endpoint(url) == endpoint
    assert str(endpoint) == text


@pytest.mark.parametrize(
    ("url", "shown"),
    [("wss://u:p@h:1/path?key=k#f", "wss://h:1/path"), ("wss://[::1", "<no URL>"), ("wss://h", "wss://h")],
)
def test_what_is_shown_of_a_url_is_scheme_host_and_path(url, shown):
    assert public_url(url) == shown
