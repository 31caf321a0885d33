"""Stored prompts and traces, checked when they are built."""

import pickle
from typing import Any

import pytest

from trunkline.gateway.errors import ConfigError
from trunkline.gateway.hosted import Prompt, Tracing

GOOD: list[tuple[type[Any], dict[str, Any]]] = [
    (Prompt, {"id": "pmpt_1"}),
    (Prompt, {"id": "pmpt_1", "version": "2", "variables": {"city": "Ottawa", "empty": ""}}),
    (Prompt, {"id": "pmpt_1", "variables": {"picture": {"type": "input_image", "image_url": "u"}}}),
    (Tracing, {}),
    (Tracing, {"workflow_name": "w", "group_id": "g", "metadata": {"a": [1, None]}}),
]
BAD: list[tuple[type[Any], str, list[Any]]] = [
    (Prompt, "id", [None, "", " ", 1]),
    (Prompt, "version", ["", 2]),
    (Prompt, "variables", [None, "x", {"a": 1}, {"a": None}, {"a": ["x"]}, {"a": object()}]),
    (Tracing, "workflow_name", ["", 1]),
    (Tracing, "group_id", ["", 1]),
    (Tracing, "metadata", ["x", [], {"a": object()}]),
]


@pytest.mark.parametrize(("cls", "settings"), GOOD)
def test_what_is_allowed_builds_compares_hashes_and_pickles(cls: type[Any], settings: dict[str, Any]):
    made = cls(**settings)
    assert made == cls(**settings)
    assert hash(made) == hash(cls(**settings))
    assert pickle.loads(pickle.dumps(made)) == made


@pytest.mark.parametrize(
    ("cls", "name", "value"), [(cls, name, value) for cls, name, values in BAD for value in values]
)
def test_what_is_not_is_refused_by_name(cls: type[Any], name: str, value: Any):
    needed = {"id": "pmpt_1"} if cls is Prompt else {}
    with pytest.raises(ConfigError) as refused:
        cls(**{**needed, name: value})
    assert f".{name}" in refused.value.field
    assert refused.value.allowed


def test_a_dict_may_be_changed_later_without_harm():
    variables, metadata = {"a": "b"}, {"c": {"d": 1}}
    prompt, tracing = Prompt("p", variables=variables), Tracing(metadata=metadata)
    variables["a"] = "x"
    metadata["c"]["d"] = 2
    assert prompt.variables == {"a": "b"}
    assert tracing.metadata == {"c": {"d": 1}}
