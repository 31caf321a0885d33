"""The error tree: attributes, words, pickles, and no secrets."""

import copy
import pickle
import re
from typing import Any

import pytest

from trunkline.gateway import errors
from trunkline.gateway.errors import (
    ConfigError,
    ConnectCancelled,
    ConnectError,
    ConnectTimeout,
    EncodeError,
    GatewayError,
    HandshakeRefused,
    InsecureUrl,
    InvalidAudio,
    LineClosed,
    MissingApiKey,
    MissingExtra,
    ProtocolError,
    SendBufferFull,
    ServerError,
    TlsFailed,
    Unreachable,
    redact,
    shorten,
)
from trunkline.gateway.wire_types import ErrorDetail

ALL: list[GatewayError] = [
    GatewayError("something broke", code="c", recoverable=True, advice="mend it"),
    ConfigError("speed", 9.0, "a number from 0.25 to 1.5"),
    ProtocolError("malformed_event", "response.done", "Expected `str` - at `$.id`", '{"type":'),
    EncodeError("session.update", "surrogates not allowed"),
    InvalidAudio("an array of float16", "int16"),
    ConnectError("no line"),
    HandshakeRefused("HTTP 429", status=429, retry_after_s=2.5),
    ConnectTimeout("no line within 15 s"),
    ConnectCancelled(),
    Unreachable("connection refused"),
    TlsFailed("certificate verify failed"),
    LineClosed(1011, "keepalive ping timeout"),
    ServerError("invalid_value", "no such voice", "session.voice", "invalid_request_error", "evt_1"),
    SendBufferFull(1024),
    MissingApiKey(),
    MissingExtra("audio", "audio at 44100 Hz has to be resampled"),
    InsecureUrl("ws://user:pass@example.com/v1?api_key=hush"),
]


def test_the_list_above_has_every_error_of_the_tree():
    classes = {
        cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, GatewayError)
    }
    assert {type(error) for error in ALL} == classes


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "twin_of",
    [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deepcopy"],
)
def test_an_error_survives_the_way_to_another_process_with_all_it_knows(error: GatewayError, twin_of: Any):
    twin = twin_of(error)
    assert type(twin) is type(error)
    assert twin.__dict__ == error.__dict__
    assert str(twin) == str(error)
    assert twin.args == error.args


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_an_error_has_a_code_a_message_and_says_what_to_do(error: GatewayError):
    assert error.code
    assert error.message
    assert isinstance(error.recoverable, bool)
    assert "(" in str(error) or ": use " in str(error)


@pytest.mark.parametrize("error_class", [ConfigError, EncodeError, InsecureUrl, InvalidAudio])
def test_the_callers_mistakes_are_value_errors_too(error_class: type[Exception]):
    assert issubclass(error_class, ValueError)


def test_a_config_error_names_the_field_the_value_and_what_is_allowed():
    error = ConfigError("speed", 9.0, "a number from 0.25 to 1.5")
    assert (error.field, error.value, error.allowed) == ("speed", "9.0", "a number from 0.25 to 1.5")
    for word in ("speed", "9.0", "0.25 to 1.5"):
        assert word in str(error)


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no repr today")


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10_000,
        list(range(10_000)),
        {"k": "v" * 10_000},
        10**4000,
        b"\xff" * 10_000,
        Broken(),
        [Broken()],
    ],
)
def test_a_value_is_shown_short_whatever_it_is(value: Any):
    assert 0 < len(shorten(value)) <= 80
    assert len(str(ConfigError("tools", value, "something else"))) < 200


@pytest.mark.parametrize(
    "field",
    [
        "api_key",
        "client_secret",
        "authorization",
        "headers",
        "headers[Authorization]",
        "provider_extras",
        "Token",
    ],
)
def test_a_field_that_may_hold_a_secret_does_not_show_its_value(field: str):
    error = ConfigError(field, "hush", "something else")
    assert "hush" not in str(error)
    assert "hush" not in repr(error.__dict__)


@pytest.mark.parametrize("field", ["max_response_output_tokens", "tools", "model", "keywords"])
def test_other_fields_show_theirs(field: str):
    assert "loud" in str(ConfigError(field, "loud", "something else"))


SECRETS = [
    "sk-proj-abcdef123456",
    "ek_68aa5d0f9c",
    "Bearer abc.def-ghi",
    "bearer   xyz123",
    "openai-insecure-api-key.sk-123456",
    "0123456789abcdef0123456789abcdef",
    "AbC9dEf+gHi/jKl==",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_key_in_a_providers_words_is_not_passed_on(secret: str):
    words = f"Incorrect API key provided: {secret}. You can find your key at ..."
    for error in (
        GatewayError(words),
        ServerError("invalid_api_key", words),
        LineClosed(3000, words),
        ProtocolError("malformed_event", None, words, words),
        HandshakeRefused(words, status=401),
        EncodeError("session.update", words),
    ):
        shown = f"{error} {error!r} {error.__dict__} {pickle.dumps(error)!r}"
        assert secret not in shown
        assert secret.split()[-1] not in shown


def test_redacting_leaves_ordinary_words_alone():
    words = "task-oriented risk_assessment: ask-me-anything, the bearer of good news"
    # A word after "bearer" may be a key: better once too often.
    assert redact(words) == words.replace("bearer of", "[hidden]")
    for ordinary in (
        "Unknown parameter: 'session.client_secret.expires_at_12345'",
        "max_output_tokens: 12345678901234567890 is over the limit",
        "this token: abcdefghijklmnopqrstuvwxyz",
        "rate limit reached for tokens per minute: 1234567890123456",
    ):
        assert redact(ordinary) == ordinary
    assert redact('{"authorization": "Basic abc", "x": 1}') == '{"[hidden]", "x": 1}'


def test_a_refused_handshake_is_recoverable_as_its_status_is():
    recoverable = {
        status for status in range(100, 600) if HandshakeRefused("refused", status=status).recoverable
    }
    # 101 is an upgrade that went through, and a line that was then lost without a CLOSE.
    assert recoverable == {101, 429, *range(500, 600)}
    assert HandshakeRefused("refused", status=404).status == 404


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_the_usual_statuses_come_with_their_own_advice(status: int):
    assert str(HandshakeRefused("refused", status=status)) != str(HandshakeRefused("refused", status=418))


@pytest.mark.parametrize(
    ("code", "close_code"),
    [
        ("invalid_api_key", 3000),
        ("invalid_model", 4000),
        ("insufficient_quota", 1011),
        ("model_not_found", None),
    ],
)
def test_an_error_right_after_the_upgrade_is_fatal_by_its_code(code: str, close_code: int | None):
    error = HandshakeRefused("refused", code=code, status=101, close_code=close_code)
    assert not error.recoverable
    assert error.code == code
    assert error.close_code == close_code


def test_a_rate_limit_right_after_the_upgrade_is_worth_another_try():
    assert HandshakeRefused("slow down", code="rate_limit_exceeded", close_code=1013).recoverable


@pytest.mark.parametrize(
    ("error", "recoverable"),
    [
        (ConnectTimeout("x"), True),
        (Unreachable("x"), True),
        (TlsFailed("x"), False),
        (ConnectError("x", recoverable=False), False),
    ],
)
def test_no_line_is_worth_another_try_unless_tls_failed(error: ConnectError, recoverable: bool):
    assert error.recoverable == recoverable


@pytest.mark.parametrize("close_code", [None, *range(1000, 1016), 3000, 4000])
def test_a_closed_line_is_recoverable_as_its_code_is(close_code: int | None):
    error = LineClosed(close_code)
    assert error.recoverable == (close_code in (None, 1001, 1002, 1005, 1006, 1011, 1012, 1013, 1015))
    assert error.code == "connection_lost"


def test_a_close_reason_that_names_a_code_counts_for_more_than_the_close_code():
    dead = LineClosed(1011, "invalid_request_error.insufficient_quota")
    assert (dead.code, dead.recoverable) == ("insufficient_quota", False)
    old = LineClosed(1000, "session_expired")
    assert (old.code, old.recoverable) == ("session_expired", True)


def test_a_server_error_is_made_of_a_detail_however_little_it_says():
    full = ServerError.from_detail(ErrorDetail("invalid_value", "no", "p", "invalid_request_error", "evt"))
    assert (full.code, full.param, full.type, full.event_id) == (
        "invalid_value",
        "p",
        "invalid_request_error",
        "evt",
    )
    assert full.recoverable
    assert "no" in str(full)
    assert re.search(r"\bp\b", str(full))
    empty = ServerError.from_detail(ErrorDetail())
    assert empty.code is None
    assert str(empty)
    assert not ServerError.from_detail(ErrorDetail(type="authentication_error")).recoverable


def test_an_insecure_url_shows_its_host_alone():
    error = InsecureUrl("ws://user:pass@example.com:8080/v1?api_key=hush")
    assert error.url == "ws://example.com"
    for secret in ("hush", "pass", "user"):
        assert secret not in f"{error}{error.__dict__}"
    assert str(InsecureUrl("ws://[broken"))
