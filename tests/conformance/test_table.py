"""The table of cases and the tests agree: no test names no case, and each verdict that is not `=` has its reason."""

import ast
import tomllib
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
TABLE = tomllib.loads((HERE / "cases.toml").read_text())["suites"]


def names_in(path):
    return [
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def test_every_test_names_a_case_that_applies():
    nameless = []
    for suite in TABLE.values():
        cases = {case["name"] for case in suite["cases"] if case["verdict"] != "x"}
        path = HERE / suite["file"]
        names = names_in(path) if path.exists() else []
        nameless += [name for name in names if name.removeprefix("test_").partition("__")[0] not in cases]
    assert nameless == []


def test_every_test_file_belongs_to_a_suite():
    files = {path.name for path in HERE.glob("test_*.py")} - {Path(__file__).name}
    assert files <= {suite["file"] for suite in TABLE.values()}


def test_what_is_not_ported_as_is_says_why():
    for suite in TABLE.values():
        for case in suite["cases"]:
            assert case["verdict"] in ("=", "~", "x"), case
            assert bool(case.get("reason")) == (case["verdict"] != "="), case


def test_no_case_is_lost():
    assert len(TABLE["supervisor_SUITE"]["cases"]) == 88
    assert len(TABLE["dynamic_supervisor_test"]["cases"]) == 41
    for suite in TABLE.values():
        assert len(suite["cases"]) == len({case["name"] for case in suite["cases"]})
    assert Counter(case["verdict"] for case in TABLE["supervisor_SUITE"]["cases"])["x"] == 12
