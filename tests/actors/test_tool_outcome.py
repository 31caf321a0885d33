"""Outcomes and the errors behind them."""

import json
import pickle
from typing import get_args

import pytest

from trunkline.actors.tool_errors import (
    ToolArgumentsError,
    ToolCancelled,
    ToolDefinitionError,
    ToolError,
    ToolResultError,
)
from trunkline.actors.tool_outcome import ToolFailureCode, ToolOutcome


@pytest.mark.parametrize("code", get_args(ToolFailureCode))
def test_every_failure_has_a_sentence_for_the_model(code):
    outcome = ToolOutcome.failed("call_1", "f", code)
    assert outcome.ok is False
    assert outcome.error.code == code
    assert json.loads(outcome.output) == {"error": {"code": code, "message": outcome.error.message}}
    assert outcome.error.message.endswith((".", ":"))


def test_a_failure_keeps_its_detail_from_the_model():
    outcome = ToolOutcome.failed("call_1", "f", "raised", "No.", "secret")
    assert outcome.error.detail == "secret"
    assert json.loads(outcome.output) == {"error": {"code": "raised", "message": "No."}}


def test_a_message_that_is_no_unicode_still_makes_an_output():
    assert json.loads(ToolOutcome.failed("c", "f", "raised", "a\ud800b").output)["error"]["message"] == "a?b"


def test_outcomes_are_values():
    outcome = ToolOutcome.succeeded("call_1", "f", "5", 5)
    assert outcome == ToolOutcome("call_1", "f", "5", ok=True, result=5)
    assert pickle.loads(pickle.dumps(outcome)) == outcome
    with pytest.raises(AttributeError):
        outcome.ok = False


@pytest.mark.parametrize(
    "error",
    [
        ToolError("No."),
        ToolArgumentsError("Send `a`."),
        ToolResultError("Bad.", "detail"),
        ToolCancelled("timeout"),
        ToolDefinitionError("f", "a", "has no annotation", "annotate it"),
        ToolDefinitionError("f", None, "yields", "return"),
    ],
    ids=repr,
)
def test_errors_pickle_with_their_attributes(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)


def test_a_definition_error_names_the_parameter_the_function_the_problem_and_the_way_out():
    assert str(ToolDefinitionError("f", "a", "has no annotation", "annotate it")) == (
        "not a tool: parameter 'a' of f has no annotation; annotate it"
    )
    assert str(ToolDefinitionError("f", None, "yields", "return")) == "not a tool: f yields; return"
