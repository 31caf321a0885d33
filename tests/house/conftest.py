"""What the house tests share: where the checkout is, and its modules as syntax trees."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("actors", "gateway", "supervision")
# a statement of the first line; "Pure but for its lock" is none
_PURE = re.compile(r"(?:^|[.:*?] ?|\*)Pure\b(?! but)")
_OWNERSHIP = re.compile(r"\b(?:Pure|[Oo]wns?|Borrows)\b")


@dataclass(frozen=True)
class Import:
    """One imported module: ``target`` is its absolute name, and ``names`` what is taken from it."""

    target: str
    names: tuple[str, ...]
    line: int
    relative: bool
    for_types_only: bool


@dataclass(frozen=True)
class Module:
    """A source file: ``name`` is how it is imported, empty for tests, examples and the like."""

    path: Path
    name: str
    tree: ast.Module
    source: str

    @property
    def room(self) -> str:
        return self.name.split(".")[1] if self.name.count(".") else ""

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def first_line(self) -> str:
        return (ast.get_docstring(self.tree) or "").partition("\n")[0]

    @property
    def is_pure(self) -> bool:
        return _PURE.search(self.first_line) is not None

    @property
    def says_what_it_owns(self) -> bool:
        return _OWNERSHIP.search(self.first_line) is not None

    @functools.cached_property
    def imports(self) -> tuple[Import, ...]:
        return tuple(_imports(self.tree, self.name, self.is_package))

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT)) if self.path.is_relative_to(ROOT) else str(self.path)


def _imports(tree: ast.Module, name: str, is_package: bool) -> Iterator[Import]:
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for part in node.body
        for inner in ast.walk(part)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, (), node.lineno, False, id(node) in typing_only)
        elif isinstance(node, ast.ImportFrom):
            package = name.split(".") if is_package else name.split(".")[:-1]
            parents = package[: len(package) - node.level + 1] if node.level else []
            target = ".".join([*parents, *([node.module] if node.module else [])])
            names = tuple(alias.name for alias in node.names)
            yield Import(target, names, node.lineno, node.level > 0, id(node) in typing_only)


def parse(path: Path, name: str, source: str | None = None) -> Module:
    source = path.read_text() if source is None else source
    return Module(path, name, ast.parse(source), source)


def _in_room(folder: str) -> list[Module]:
    return [
        parse(
            path,
            ".".join(["trunkline", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__"),
        )
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def make_module():
    """Return a function that makes a Module of a text, for tests of the tests."""

    def make(name: str, source: str, *, is_package: bool = False) -> Module:
        path = ROOT / ("__init__.py" if is_package else "made_up.py")
        return parse(path, name, source)

    return make


@pytest.fixture(scope="session")
def rooms() -> list[Module]:
    """All modules of the three rooms."""
    return [module for room in ROOMS for module in _in_room(room)]


@pytest.fixture(scope="session")
def front_door() -> list[Module]:
    """The modules that lie in src/trunkline itself."""
    return [
        parse(path, f"trunkline.{path.stem}".removesuffix(".__init__"))
        for path in sorted((ROOT / "src" / "trunkline").glob("*.py"))
    ]


@pytest.fixture(scope="session")
def outside() -> list[Module]:
    """Tests, examples and benchmarks."""
    return [
        parse(path, "")
        for folder in ("tests", "examples", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]
