"""The tables of codes, over the whole of each table."""

import pytest

from trunkline.gateway import codes

# What the contract says in section 2, and protocol A.8 in its table of codes seen in the wild.
RETRIED_CLOSES = {1001, 1002, 1005, 1006, 1011, 1012, 1013, 1015}
FATAL_CODES = {
    "account_deactivated",
    "beta_api_shape_disabled",
    "billing_hard_limit_reached",
    "insufficient_quota",
    "invalid_api_key",
    "invalid_model",
    "missing_model",
    "model_not_found",
}
LIVING_CODES = {
    None,
    "bad_response_create",
    "cannot_update_voice",
    "conversation_already_has_active_response",
    "inference_rate_limit_exceeded",
    "input_audio_buffer_commit_empty",
    "invalid_event",
    "invalid_json",
    "invalid_value",
    "item_retrieve_invalid_item_id",
    "missing_required_parameter",
    "never_seen_before",
    "rate_limit_exceeded",
    "response_cancel_not_active",
    "server_error",
    "session_expired",
    "unknown_parameter",
    "unsupported_content_type",
}
TYPES = (None, "invalid_request_error", "server_error", "rate_limit_error", "never_seen_before")
FATAL_TYPES = ("authentication_error", "insufficient_quota", "permission_error")


@pytest.mark.parametrize("code", [*range(1000, 1020), 3000, 4000, 4001, 4999])
def test_a_close_code_is_retried_exactly_when_the_contract_lists_it(code: int):
    assert codes.is_recoverable_close(code) == (code in RETRIED_CLOSES)


def test_an_end_without_a_close_frame_is_retried():
    assert codes.is_recoverable_close(None)


def test_a_status_is_retried_exactly_when_it_is_429_or_the_servers_fault():
    retried = {status for status in range(1000) if codes.is_recoverable_status(status)}
    assert retried == {429, *range(500, 600)}


@pytest.mark.parametrize("error_type", [*TYPES, *FATAL_TYPES])
@pytest.mark.parametrize("code", sorted(FATAL_CODES))
def test_a_fatal_code_is_fatal_whatever_its_type(code: str, error_type: str | None):
    assert not codes.is_recoverable_error(code, error_type)


@pytest.mark.parametrize("error_type", TYPES)
@pytest.mark.parametrize("code", sorted(LIVING_CODES, key=str))
def test_any_other_code_leaves_the_session_alive(code: str | None, error_type: str | None):
    assert codes.is_recoverable_error(code, error_type)


@pytest.mark.parametrize("error_type", FATAL_TYPES)
@pytest.mark.parametrize("code", sorted(LIVING_CODES, key=str))
def test_a_fatal_type_is_fatal_whatever_its_code(code: str | None, error_type: str):
    assert not codes.is_recoverable_error(code, error_type)


@pytest.mark.parametrize("under_vad", [True, False])
@pytest.mark.parametrize("code", sorted(FATAL_CODES | LIVING_CODES, key=str))
def test_only_races_are_benign(code: str | None, under_vad: bool):
    race = code == "response_cancel_not_active" or (under_vad and code == "input_audio_buffer_commit_empty")
    assert codes.is_benign_error(code, under_vad=under_vad) == race


@pytest.mark.parametrize("code", sorted(FATAL_CODES | LIVING_CODES, key=str))
def test_rate_limits_are_told_from_other_errors(code: str | None):
    assert codes.is_rate_limit_error(code) == (
        code in ("rate_limit_exceeded", "inference_rate_limit_exceeded")
    )


@pytest.mark.parametrize("code", sorted(FATAL_CODES))
def test_every_fatal_code_comes_with_advice_and_is_found_in_a_close_reason(code: str):
    assert codes.advice_for(code)
    assert codes.error_code_in(f"invalid_request_error.{code}") == code
    assert codes.error_code_in(f" {code} ") == code


@pytest.mark.parametrize(
    "reason", ["", "bye", "server_error", "invalid_request_error.invalid_value", "...", "no.such.thing"]
)
def test_other_close_reasons_name_no_known_code(reason: str):
    assert codes.error_code_in(reason) is None
