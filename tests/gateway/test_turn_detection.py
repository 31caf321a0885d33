"""The settings of listening are checked when they are built."""

import pickle
from typing import Any

import pytest

from trunkline.gateway.errors import ConfigError
from trunkline.gateway.turn_detection import RetentionRatio, SemanticVad, ServerVad, Transcription

GOOD: list[tuple[type[Any], dict[str, Any]]] = [
    (ServerVad, {}),
    (ServerVad, {"threshold": 0, "prefix_padding_ms": 0, "silence_duration_ms": 0, "idle_timeout_ms": 1}),
    (ServerVad, {"threshold": 1.0, "create_response": False, "interrupt_response": False}),
    *((SemanticVad, {"eagerness": eagerness}) for eagerness in (None, "low", "medium", "high", "auto")),
    (SemanticVad, {"create_response": False, "interrupt_response": False}),
    (Transcription, {}),
    (
        Transcription,
        {
            "model": "a-model-of-tomorrow",
            "language": "en",
            "prompt": "names",
            "languages": ["en"],
            "keywords": ("x",),
        },
    ),
    *((Transcription, {"delay": delay}) for delay in (None, "minimal", "low", "medium", "high", "xhigh")),
    (RetentionRatio, {"ratio": 0}),
    (RetentionRatio, {"ratio": 1, "post_instructions": 0}),
]
BAD: list[tuple[type[Any], str, list[Any]]] = [
    (ServerVad, "threshold", [-0.01, 1.01, "0.5", True, float("nan"), [], 10**400]),
    *(
        (ServerVad, name, [-1, 1.5, "1", True, [], float("inf")])
        for name in ("prefix_padding_ms", "silence_duration_ms", "idle_timeout_ms")
    ),
    (ServerVad, "idle_timeout_ms", [0]),
    *(
        (vad, name, [None, 0, 1, "yes", []])
        for vad in (ServerVad, SemanticVad)
        for name in ("create_response", "interrupt_response")
    ),
    (SemanticVad, "eagerness", ["LOW", "", 1, True, [], {}, b"low"]),
    (Transcription, "model", [None, "", " ", 1, b"whisper-1", [], "\ud800"]),
    (Transcription, "language", ["", 1, []]),
    (Transcription, "prompt", ["", 1, []]),
    (Transcription, "languages", [None, "en", {"en"}, [1], [""], 5]),
    (Transcription, "keywords", [None, "en", {"x": 1}, [None], 5]),
    (Transcription, "delay", ["none", 1, []]),
    (RetentionRatio, "ratio", [None, -0.1, 1.1, "1", True]),
    (RetentionRatio, "post_instructions", [-1, 1.5, "1", False]),
]


@pytest.mark.parametrize(("cls", "settings"), GOOD)
def test_what_is_allowed_builds_compares_and_pickles(cls: type[Any], settings: dict[str, Any]):
    made = cls(**settings)
    assert made == cls(**settings)
    assert hash(made) == hash(cls(**settings))
    assert pickle.loads(pickle.dumps(made)) == made


@pytest.mark.parametrize(
    ("cls", "name", "value"), [(cls, name, value) for cls, name, values in BAD for value in values]
)
def test_what_is_not_is_refused_by_name(cls: type[Any], name: str, value: Any):
    needed = {"ratio": 0.5} if cls is RetentionRatio else {}
    with pytest.raises(ConfigError) as refused:
        cls(**{**needed, name: value})
    assert f".{name}" in refused.value.field
    assert refused.value.allowed


def test_lists_become_tuples_so_that_nobody_changes_them_later():
    languages = ["en"]
    transcription = Transcription(languages=languages)  # type: ignore[arg-type]  # as callers without types write it
    languages.append("fr")
    assert transcription.languages == ("en",)
