"""Shapes, each with a value that fits and one that does not."""

from __future__ import annotations

import pytest

from trunkline.gateway.simulator.client_error import ClientError
from trunkline.gateway.simulator.shapes import (
    anything,
    base64_bytes,
    by_json_type,
    flag,
    free_object,
    list_of,
    mapping_of,
    no_deeper_than,
    nullable,
    number,
    one_of,
    record,
    tagged,
    text,
)

CASES = [
    (flag, True, 1, "p"),
    (free_object, {"x": 1}, [], "p"),
    (text(), "", 5, "p"),
    (text(1), "x", "", "p"),
    (text(0, 2), "ab", "abc", "p"),
    (base64_bytes(8), "AAAA", "AAA", "p"),
    (base64_bytes(8), "", "no!", "p"),
    (base64_bytes(8), "AAAAAAAA", "AAAAAAAAAAAA", "p"),
    (base64_bytes(8), "AAAA", 5, "p"),
    (number(0, 1), 0.5, 1.5, "p"),
    (number(0, 1), 1, True, "p"),
    (number(0, 9, whole=True), 3, 3.0, "p"),
    (one_of("a", "b"), "a", "c", "p"),
    (one_of("a"), "a", None, "p"),
    (nullable(flag), None, "x", "p"),
    (list_of(flag), [True], [True, 1], "p[1]"),
    (list_of(flag), [], {}, "p"),
    (list_of(flag, 1), [True], [True, True], "p"),
    (record({"a": flag}), {"a": True}, {"b": True}, "p.b"),
    (record({"a": flag}, required=("a",)), {"a": True}, {}, "p.a"),
    (record({"a": flag}), {}, None, "p"),
    (tagged("t", {"x": anything}), {"t": "x"}, {"t": "y"}, "p.t"),
    (tagged("t", {"x": anything}), {"t": "x"}, {"t": None}, "p.t"),
    (tagged("t", {"x": anything}), {"t": "x"}, {}, "p.t"),
    (tagged("t", {"x": anything}), {"t": "x"}, "x", "p"),
    (by_json_type(str=text(1), int=number(0, 1)), 1, 2, "p"),
    (by_json_type(str=text(1), int=number(0, 1)), "x", True, "p"),
    (mapping_of(flag, max_items=1, max_key_length=2), {"ab": True}, {"a": True, "b": True}, "p"),
    (mapping_of(flag, max_items=1, max_key_length=2), {}, {"abc": True}, "p"),
    (mapping_of(flag, max_items=1, max_key_length=2), {}, {"a": 1}, "p.a"),
    (mapping_of(flag, max_items=1, max_key_length=2), {}, 5, "p"),
]


@pytest.mark.parametrize(("shape", "good", "bad", "param"), CASES)
def test_a_shape_takes_what_fits_and_names_what_does_not(shape, good, bad, param):
    shape(good, "p")
    with pytest.raises(ClientError) as caught:
        shape(bad, "p")
    assert caught.value.param == param
    assert param in caught.value.message or "Supported values" in caught.value.message
    assert caught.value.code in str(caught.value)


TYPES = [
    (text(), 5),
    (flag, "yes"),
    (number(0, 1), "1"),
    (list_of(flag), {}),
    (record({}), []),
    (one_of("a"), None),
]


@pytest.mark.parametrize(("shape", "value"), TYPES)
def test_a_value_of_another_type_is_told_from_a_wrong_value(shape, value):
    with pytest.raises(ClientError) as caught:
        shape(value, "p")
    assert caught.value.code == "invalid_type"


@pytest.mark.parametrize("value", [{"a": {"b": [1]}}, [[[1]]], {"a": [{"b": 1}]}])
def test_nesting_has_a_limit(value):
    no_deeper_than(3, anything)(value, "")
    with pytest.raises(ClientError) as caught:
        no_deeper_than(2, anything)(value, "")
    assert caught.value.code == "invalid_value"
