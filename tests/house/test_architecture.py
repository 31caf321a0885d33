"""The house rules that a machine can check: who imports whom, what is pure, how big things get, what never appears."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest

ROOMS = ("actors", "gateway", "supervision")

MAY_IMPORT_ROOM = {"actors": {"gateway", "supervision"}, "gateway": set(), "supervision": set()}
MAY_IMPORT_PACKAGE = {
    "actors": {"pykka", "msgspec", "numpy"},
    "gateway": {"websocket", "msgspec", "numpy"},
    "supervision": {"pykka"},
}
SIMULATOR = "trunkline.gateway.simulator"
THE_ONE_THAT_IMPORTS_WEBSOCKET = "trunkline.gateway.frame_socket"

#: What a pure module may not import: threads, sockets, clocks, randomness, logs, the machine around it.
IMPURE = {
    *("_thread", "asyncio", "concurrent", "multiprocessing", "queue", "sched", "threading"),
    *("http", "select", "selectors", "socket", "socketserver", "ssl", "websocket", "websockets"),
    *("time", "random", "secrets", "uuid", "logging", "warnings", "atexit", "gc", "signal", "subprocess"),
    *("glob", "io", "os", "pathlib", "shutil", "sys", "tempfile"),
    "pykka",
}
#: What a pure module may take from an impure package: classes to name in a type, a check or an error's bases; nothing that runs.
PURE_NAMES = {"pykka": {"Actor", "ActorDeadError", "ActorRef", "Timeout"}, "random": {"Random"}}
IMPURE_CALLS = {"input", "open", "print", "exec", "eval", "breakpoint"}

MAX_LINES = 400
MAX_FUNCTION_LINES = 35
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}
# put together here so that this file does not contain them itself
FORBIDDEN = re.compile(
    "|".join(
        [
            r"\bTO" + "DO",
            r"\bFIX" + "ME",
            r"\bNotImplemented" + "Error",
            r"\bmark\.(?:skip|x" + "fail)",
            r"pytest\.(?:skip|x" + r"fail)\(",
            r"type: ign" + r"ore(?!\[)",
            r"pyright: ign" + r"ore(?!\[)",
            r"\bunittest\.mo" + "ck",
        ]
    )
)


def found(violations):
    """Fail with all violations of one rule at once, a line each."""
    violations = [str(violation) for violation in violations]
    assert not violations, "\n".join(violations)


def top(name):
    return name.partition(".")[0]


def room_of(name):
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "trunkline" and parts[1] in ROOMS else None


def targets(target, names, modules):
    """Return the modules that an import reaches: submodules, and through a package those that its names come from."""
    reached = set()
    for name in names:
        inner = f"{target}.{name}"
        origins = (
            [one.target for one in modules[target].imports if name in one.names] if target in modules else []
        )
        if inner in modules:
            reached.add(inner)
        elif target in modules and modules[target].is_package and origins:
            reached |= targets(origins[0], [name], modules)
        else:
            reached.add(target)
    return reached or {target}


def names_taken(module, imported):
    """Return what a module takes from a package, by ``from`` or as attributes."""
    if imported.names:
        return set(imported.names)
    return {
        node.attr
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == imported.target
    }


def is_for_type_checkers(module, imported):
    """Return whether the import stands under ``if TYPE_CHECKING``: nobody needs that package at runtime."""
    return any(
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
        and node.body[0].lineno <= imported.line <= node.body[-1].end_lineno
        for node in ast.walk(module.tree)
    )


# -- imports


def import_violations(module):
    for imported in module.imports:
        where = f"{module}:{imported.line} imports {imported.target}"
        room = room_of(imported.target)
        if top(imported.target) in ROOMS:
            yield f"{where}: a bare room name is somebody else's package"
        elif top(imported.target) == "trunkline":
            if not imported.relative:
                yield f"{where}: rooms import each other relatively"
            if room is None:
                yield f"{where}: a room does not know the front door"
            elif room != module.room and room not in MAY_IMPORT_ROOM[module.room]:
                yield f"{where}: {module.room} does not know {room}"
            elif imported.target.startswith(SIMULATOR) and not module.name.startswith(SIMULATOR):
                yield f"{where}: the simulator is an extra"
        elif top(imported.target) not in sys.stdlib_module_names:
            allowed = MAY_IMPORT_PACKAGE[module.room] | (
                {"trustme", "websockets"} if module.name.startswith(SIMULATOR) else set()
            )
            if is_for_type_checkers(module, imported):
                allowed = allowed | {"typing_extensions"}  # type checkers bring it along
            if top(imported.target) not in allowed:
                yield f"{where}: {module.room} may import {', '.join(sorted(allowed))}"


def test_rooms_import_in_one_direction_and_relatively(rooms):
    found(violation for module in rooms for violation in import_violations(module))


@pytest.mark.parametrize(
    ("name", "source", "says"),
    [
        ("trunkline.gateway.x", "from ..actors.y import z", "gateway does not know actors"),
        ("trunkline.gateway.x", "import pykka", "may import"),
        ("trunkline.gateway.x", "def f():\n    from pykka import ActorRef", "may import"),
        ("trunkline.actors.x", "from typing_extensions import TypeVar", "may import"),
        ("trunkline.gateway.x", "if TYPE_CHECKING:\n    import pykka", "may import"),
        ("trunkline.gateway.x", "import websockets.sync", "may import"),
        ("trunkline.gateway.x", "from .simulator import Simulator", "an extra"),
        ("trunkline.supervision.x", "import msgspec", "may import"),
        ("trunkline.supervision.x", "from ..gateway import y", "supervision does not know gateway"),
        ("trunkline.actors.x", "import gateway", "somebody else's"),
        ("trunkline.actors.x", "from supervision.y import z", "somebody else's"),
        ("trunkline.actors.x", "from trunkline.gateway.y import z", "relatively"),
        ("trunkline.actors.x", "from .. import Broker", "front door"),
        ("trunkline.actors.x", "from .. import gateway", "front door"),
        ("trunkline.actors.x", "from ..gateway.simulator.server import y", "an extra"),
    ],
)
def test_an_import_in_the_wrong_direction_is_found(make_module, name, source, says):
    violations = list(import_violations(make_module(name, source)))
    assert len(violations) == 1
    assert says in violations[0]


def test_the_imports_that_are_meant_to_be_are_not_violations(make_module):
    source = (
        "import os, pykka, numpy\nfrom . import a\nfrom ..gateway.b import c\nfrom ..supervision import d"
    )
    assert list(import_violations(make_module("trunkline.actors.x", source))) == []
    assert (
        list(import_violations(make_module(f"{SIMULATOR}.x", "import websockets\nfrom ..codec import y")))
        == []
    )


def test_websocket_client_is_imported_in_one_module(rooms):
    importers = {module.name for module in rooms for one in module.imports if top(one.target) == "websocket"}
    assert importers == {THE_ONE_THAT_IMPORTS_WEBSOCKET}


def test_tests_examples_and_benchmarks_use_the_installed_names(outside):
    found(
        f"{module}:{one.line} imports {one.target}: write trunkline.{one.target}"
        for module in outside
        for one in module.imports
        if top(one.target) in ROOMS and not one.relative
    )


def test_no_test_imports_another_test(outside):
    found(
        f"{module}:{one.line} imports {one.target}: shared code goes into a fixture of a conftest.py"
        for module in outside
        if str(module).startswith("tests")
        for one in module.imports
        if one.relative or top(one.target) in {"tests", "conftest"} or top(one.target).startswith("test_")
    )


def test_test_folders_are_no_packages(root):
    found(sorted((root / "tests").rglob("__init__.py")))


# -- purity


def purity_violations(module, modules):
    for imported in module.imports:
        if imported.for_types_only:
            continue
        where = f"{module}:{imported.line}"
        if imported.target in PURE_NAMES:
            too_much = names_taken(module, imported) - PURE_NAMES[imported.target]
            if too_much:
                yield f"{where} is pure and imports {', '.join(sorted(too_much))} from {imported.target}"
        elif top(imported.target) in IMPURE:
            yield f"{where} is pure and imports {imported.target}"
        reached = targets(imported.target, imported.names, modules) if room_of(imported.target) else ()
        for target in sorted(reached):
            if target not in modules:
                yield f"{where} imports {target}, which is not there"
            elif not modules[target].is_pure:
                yield f"{where} is pure and imports {modules[target]}, which does not say that it is"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            yield f"{module}:{node.lineno} is pure and calls {node.func.id}()"


def test_pure_modules_import_only_pure_ones(rooms):
    modules = {module.name: module for module in rooms}
    pure = [module for module in rooms if module.is_pure]
    assert len(pure) > 20, "the rule that tells a pure module finds none"
    found(violation for module in pure for violation in purity_violations(module, modules))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import threading as t", "imports threading"),
        ("from time import monotonic", "imports time"),
        ("from os.path import join", "imports os.path"),
        ("def f():\n    import random\n    return random.random()", "imports random from random"),
        ("import pykka\nclass A(pykka.ThreadingActor): ...", "imports ThreadingActor from pykka"),
        ("from pykka import ActorRef, ActorRegistry", "imports ActorRegistry from pykka"),
        ("from ..gateway import Shell", "does not say"),
        ("from ..gateway import anything", "does not say"),
        ("from . import shell", "does not say"),
        ("from .shell import run", "does not say"),
        ("from ..gateway.nowhere import x", "not there"),
        ("open('x')", "calls open()"),
    ],
)
def test_an_impure_import_is_found(make_module, source, says):
    modules = {
        module.name: module
        for module in (
            make_module("trunkline.actors.core", f'"""A core. Pure."""\n{source}'),
            make_module("trunkline.actors.shell", '"""A shell. Owns a thread."""'),
            make_module("trunkline.gateway", "from .shell import Shell", is_package=True),
            make_module("trunkline.gateway.shell", '"""A shell. Owns a thread."""'),
        )
    }
    violations = list(purity_violations(modules["trunkline.actors.core"], modules))
    assert len(violations) == 1
    assert says in violations[0]


@pytest.mark.parametrize(
    "source",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import threading\n    from .shell import Run",
        "import msgspec, numpy, dataclasses",
        "from . import other",
        "from .other import x",
        "from pykka import ActorDeadError, Timeout",
        "import pykka\nclass Gone(pykka.ActorDeadError): ...",
        "from random import Random",
        "from ..gateway import Other",
    ],
)
def test_what_a_pure_module_may_import(make_module, source):
    modules = {
        module.name: module
        for module in (
            make_module("trunkline.actors.core", f'"""A core. Pure."""\n{source}'),
            make_module("trunkline.actors.other", '"""Another core. Pure: time comes in."""'),
            make_module("trunkline.actors.shell", '"""A shell. Owns a thread."""'),
            make_module(
                "trunkline.gateway", "from .other import Other\nfrom .shell import Shell", is_package=True
            ),
            make_module("trunkline.gateway.other", '"""Other. Pure."""'),
        )
    }
    assert list(purity_violations(modules["trunkline.actors.core"], modules)) == []


def test_every_module_says_first_what_it_is_and_what_it_owns(rooms):
    found(
        f"{module}: the first line must say Pure, or what it owns (a thread, a socket, nothing): {module.first_line!r}"
        for module in rooms
        if not module.is_package and not module.says_what_it_owns
    )


def test_every_package_example_and_benchmark_says_what_it_is(rooms, front_door, outside):
    programs = [module for module in outside if not str(module).startswith("tests")]
    found(f"{module}: no docstring" for module in [*rooms, *front_door, *programs] if not module.first_line)


@pytest.mark.parametrize(
    ("first_line", "is_pure", "says_what_it_owns"),
    [
        ("What it is. Pure.", True, True),
        ("What it is. Pure: time is an argument.", True, True),
        ("What it is. *Pure*.", True, True),
        ("What it is. Pure but for its lock. Owns a lock.", False, True),
        ("What it is. Owns a thread.", False, True),
        ("What it is, in its own words. It owns no socket.", False, True),
        ("A recipe of pure parts. Owns nothing that lives.", False, True),
        ("What it is.", False, False),
    ],
)
def test_how_a_first_line_is_read(make_module, first_line, is_pure, says_what_it_owns):
    module = make_module("trunkline.actors.x", f'"""{first_line}\n\nPure. Owns a thread."""')
    assert (module.is_pure, module.says_what_it_owns) == (is_pure, says_what_it_owns)


# -- size and words


def test_no_module_is_longer_than_the_ceiling(rooms, front_door, outside):
    found(
        f"{module}: {n} lines, {MAX_LINES} at most: split it"
        for module in [*rooms, *front_door, *(m for m in outside if not str(m).startswith("tests"))]
        if (n := module.source.count("\n")) > MAX_LINES
    )


def body_lines(function):
    """How many lines a function has, its docstring not counted."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = first.end_lineno - first.lineno + 1 if documented else 0
    return function.end_lineno - function.lineno + 1 - docstring


def test_nine_functions_in_ten_fit_on_a_screen(rooms):
    functions = [
        (body_lines(node), f"{module}:{node.lineno} {node.name}")
        for module in rooms
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    too_long = sorted((n, where) for n, where in functions if n > MAX_FUNCTION_LINES)
    assert len(too_long) <= len(functions) / 10, too_long


def test_no_module_has_a_vague_name(rooms):
    found(module for module in rooms if set(module.path.stem.split("_")) & VAGUE_NAMES)


def test_nothing_is_left_undone_skipped_or_silenced_without_a_code(rooms, front_door, outside):
    found(
        f"{module}:{number}: {line.strip()}"
        for module in [*rooms, *front_door, *outside]
        for number, line in enumerate(module.source.splitlines(), 1)
        if FORBIDDEN.search(line)
    )


# -- packaging


def test_the_package_list_is_the_folders_on_disk(root):
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {
        ".".join(["trunkline", *path.parent.relative_to(root).parts]): str(path.parent.relative_to(root))
        for room in ROOMS
        for path in (root / room).rglob("*.py")
    }
    folders["trunkline"] = os.path.join("src", "trunkline")
    assert set(settings["packages"]) == set(folders)
    assert settings["package-dir"] == folders


@pytest.mark.parametrize("room", ROOMS)
def test_the_front_door_links_to_the_rooms(root, room):
    link = root / "src" / "trunkline" / room
    assert link.is_symlink()
    assert os.readlink(link) == os.path.join("..", "..", room)


def test_the_links_are_committed_as_links(root):
    git = shutil.which("git")
    # An unpacked archive: the test above saw the links themselves.
    if git is None or not (root / ".git").exists():
        return
    listed = subprocess.run(
        [git, "ls-files", "--stage", *(f"src/trunkline/{room}" for room in ROOMS)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    ).stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["120000"] * len(ROOMS)
