"""The front door opens when somebody knocks: importing the package imports no room, and its names are where it says."""

import ast
import subprocess
import sys

import pytest

import trunkline


@pytest.fixture(scope="module")
def said_to_type_checkers(root):
    """The imports under `if TYPE_CHECKING`, by module."""
    tree = ast.parse((root / "src" / "trunkline" / "__init__.py").read_text())
    (block,) = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ]
    return {node.module: {alias.name for alias in node.names} for node in block.body}


def test_type_checkers_and_the_interpreter_are_told_the_same(said_to_type_checkers):
    assert {home: set(names) for home, names in trunkline._NAMES_BY_HOME.items()} == said_to_type_checkers


def test_every_name_that_is_imported_is_public(said_to_type_checkers):
    imported = {name for names in said_to_type_checkers.values() for name in names}
    assert imported == set(trunkline.__all__) - {"__version__"}
    assert imported <= set(dir(trunkline))


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'trunkline' has no attribute 'Brokr'"):
        _ = trunkline.Brokr


@pytest.mark.parametrize(
    ("program", "stays_out"),
    [
        ("import trunkline", "pykka numpy msgspec websockets websocket asyncio"),
        ("import trunkline.pytest_plugin", "pykka numpy msgspec websockets websocket asyncio"),
        ("from trunkline import *; Broker, tool, EventStream", "websockets"),
        ("import trunkline; trunkline.supervision.Supervisor", "websocket websockets msgspec numpy"),
        ("import trunkline.testing", "websockets"),
    ],
)
def test_what_an_import_does_not_import(program, stays_out):
    check = f"import sys; {program}; print(*sorted({set(stays_out.split())!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", check],
        capture_output=True,
        text=True,
        timeout=30.0,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")
