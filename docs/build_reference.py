"""Writes docs/reference/: every public name that users import, as its source has it: signature, fields, docstring. Owns nothing.

`make docs` runs it; `python docs/build_reference.py --check` only says which pages are not up to date. It reads the sources, and
imports them for no more than their lists of public names: so the pages do not depend on the version of Python.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "reference"
MODULES = (
    "trunkline",
    "trunkline.supervision",
    "trunkline.testing",
    "trunkline.simulator",
    "trunkline.gateway",
)
WIDTH = 100
SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises", "Source", "Example", "Examples", "Note")


Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Links: TypeAlias = Mapping[tuple[str, str], str]
"""Where a class is told of, by the module it is defined in and its name."""


@dataclass(frozen=True)
class Source:
    """A module's text and tree."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """What its relative imports begin from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


@dataclass(frozen=True)
class Found:
    """Where a name is defined: one statement, or several for an overloaded function."""

    source: Source
    statements: tuple[ast.stmt, ...]
    doc: str


@functools.cache
def source_of(module: str) -> Source:
    """Read a module of ours."""
    folder = ROOT / "src" / Path(*module.split("."))
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    text = path.read_text()
    return Source(module, path, text, ast.parse(text))


# -- where a name comes from


def names_of(module: str) -> list[str]:
    """Return the public names of a module, as `from module import *` has them."""
    there = importlib.import_module(module)
    listed = getattr(there, "__all__", None) or [
        name for name, value in vars(there).items() if not isinstance(value, ModuleType)
    ]
    return [name for name in listed if not name.startswith("_")]


def find(module: str, name: str) -> Found:
    """Follow a name from the module that shows it to the statement that defines it.

    Raises:
        LookupError: there is none: the module's `__all__` promises too much.
    """
    source = source_of(module)
    statements = list(_statements(source.tree.body))
    defined = tuple(one for _, one in statements if name in _defines(one))
    if defined:
        return Found(source, defined, _doc_of(statements, defined[-1]))
    for _, one in statements:
        if isinstance(one, ast.ImportFrom) and (home := _home(source, one, name)):
            return find(*home)
    raise LookupError(f"{module} shows {name!r}, which is defined nowhere")


def _statements(body: list[ast.stmt]) -> Iterator[tuple[ast.stmt | None, ast.stmt]]:
    """Each statement of a module with the one that follows it; those of an `if` or a `try` among them."""
    for one, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(one, ast.If | ast.Try):
            yield from _statements(one.body)
        yield following, one


def _defines(statement: ast.stmt) -> tuple[str, ...]:
    match statement:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return (name,)
        case ast.AnnAssign(target=ast.Name(id=name)):
            return (name,)
        case ast.Assign(targets=targets):
            return tuple(one.id for one in targets if isinstance(one, ast.Name))
        case _:
            return ()


def _home(source: Source, imported: ast.ImportFrom, name: str) -> tuple[str, str] | None:
    package = source.package.split(".")
    parents = package[: len(package) - imported.level + 1] if imported.level else []
    module = ".".join([*parents, *([imported.module] if imported.module else [])])
    if not module.startswith("trunkline"):
        return None
    for alias in imported.names:
        if (alias.asname or alias.name) == name:
            return module, alias.name
        if alias.name == "*" and name in names_of(module):
            return module, name
    return None


def _doc_of(statements: list[tuple[ast.stmt | None, ast.stmt]], defined: ast.stmt) -> str:
    if isinstance(defined, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return ast.get_docstring(defined) or ""
    for following, one in statements:
        if one is defined and isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            return textwrap.dedent(str(following.value.value)).strip()
    return ""


# -- what is said of it


def page_of(module: str) -> str:
    """Return a module's page."""
    shown = sorted(names_of(module), key=str.lower)
    found = {name: find(module, name) for name in shown}
    bases = dict(sorted(_hidden_bases(found).items()))
    anchors = _anchors([*shown, *bases])
    links = {(one.source.name, name): f"#{anchors[name]}" for name, one in [*found.items(), *bases.items()]}
    for key, (page, anchor) in _places().items():
        links.setdefault(key, f"{page}#{anchor}")
    parts = [
        f"# {module}\n",
        f"{markdown(ast.get_docstring(source_of(module).tree) or '')}\n",
        "*Made by `make docs` from the docstrings: what is wrong here is wrong there.*\n",
        " · ".join(f"[{name}](#{anchors[name]})" for name in shown) + "\n",
    ]
    for name in shown:
        parts += [f"## {name}\n", f"`from {module} import {name}`; its home is `{found[name].source.name}`\n"]
        parts += _entry(found[name], links)
    for name, base in bases.items():
        heirs = ", ".join(one for one in shown if name in _bases(found[one]))
        parts += [f"## {name}\n", f"What {heirs} have in common.\n" if heirs else "", *_entry(base, links)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"


def _anchors(names: list[str]) -> dict[str, str]:
    """Name the places of headings as GitHub does: the second `tool` is `tool-1`."""
    seen: dict[str, int] = {}
    anchors: dict[str, str] = {}
    for name in names:
        n = seen.get(name.lower(), 0)
        seen[name.lower()] = n + 1
        anchors[name] = f"{name.lower()}-{n}" if n else name.lower()
    return anchors


def _bases(found: Found) -> dict[str, Found]:
    """The bases of a class that are ours."""
    bases: dict[str, Found] = {}
    first = found.statements[0]
    for one in first.bases if isinstance(first, ast.ClassDef) else []:
        name = ast.unparse(one).partition("[")[0]
        try:
            bases[name] = find(found.source.name, name)
        except LookupError:
            continue  # a builtin, or pykka's
    return bases


@functools.cache
def _places() -> dict[tuple[str, str], tuple[str, str]]:
    """Where the public names are told of: the module they are defined in, and their name, to a page and an anchor."""
    places: dict[tuple[str, str], tuple[str, str]] = {}
    for module in MODULES:
        shown = sorted(names_of(module), key=str.lower)
        for name, anchor in _anchors(shown).items():
            places.setdefault((find(module, name).source.name, name), (f"{module}.md", anchor))
    return places


def _hidden_bases(shown: Mapping[str, Found]) -> dict[str, Found]:
    """Classes of ours that are not public, but whose methods public classes have."""
    hidden: dict[str, Found] = {}
    waiting = list(shown.values())
    while waiting:
        for name, base in _bases(waiting.pop()).items():
            if (base.source.name, name) in _places() or name in hidden:
                continue
            waiting.append(base)
            if isinstance(node := base.statements[0], ast.ClassDef) and any(_methods(node)):
                hidden[name] = base
    return hidden


def _entry(found: Found, links: Links) -> Iterator[str]:
    first = found.statements[0]
    if isinstance(first, ast.ClassDef):
        yield from _class(found, first, links)
    elif isinstance(first, ast.FunctionDef | ast.AsyncFunctionDef):
        functions = [
            one for one in found.statements if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        yield from _function(functions)
    else:
        yield _code(_as_written(found.source, first))
        if found.doc:
            yield f"{markdown(found.doc)}\n"


def _class(found: Found, node: ast.ClassDef, links: Links) -> Iterator[str]:
    keywords = [f"{one.arg}={ast.unparse(one.value)}" for one in node.keywords if one.arg == "frozen"]
    bases = ", ".join([*map(ast.unparse, node.bases), *keywords])
    lines = [f"class {node.name}({bases})" if bases else f"class {node.name}"]
    lines += [f"    {_as_written(found.source, one)}" for one in node.body if _is_field(one)]
    methods = dict(_methods(node))
    lines += [_signature(one, node.name) for one in methods.pop("__init__", [])]
    yield _code("\n".join(lines))
    if found.doc:
        yield f"{markdown(found.doc)}\n"
    keys = {name: (base.source.name, name) for name, base in _bases(found).items()}
    if told := [f"[{name}]({links[key]})" for name, key in keys.items() if key in links]:
        yield "What it has besides: " + ", ".join(told) + ".\n"
    for name, functions in methods.items():
        yield f"### {node.name}.{name}\n"
        yield from _function(functions)


def _as_written(source: Source, statement: ast.stmt) -> str:
    return ast.get_source_segment(source.text, statement) or ""


def _is_field(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and not statement.target.id.startswith("_")
    )


def _methods(node: ast.ClassDef) -> Iterator[tuple[str, list[Function]]]:
    grouped: dict[str, list[Function]] = {}
    for one in node.body:
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and _is_shown(one):
            grouped.setdefault(one.name, []).append(one)
    yield from grouped.items()


def _is_shown(function: Function) -> bool:
    if function.name == "__init__":
        return len(function.args.args + function.args.kwonlyargs) > 1
    is_setter = any(name.endswith(".setter") for name in _decorators(function))
    return not function.name.startswith("_") and not is_setter


def _function(functions: list[Function]) -> Iterator[str]:
    overloads = [one for one in functions if "overload" in _decorators(one)]
    yield _code("\n".join(_signature(one) for one in overloads or functions))
    doc = ast.get_docstring(functions[-1])
    if doc:
        yield f"{markdown(doc)}\n"


def _decorators(node: Function) -> list[str]:
    return [ast.unparse(one) for one in node.decorator_list]


def _signature(node: Function, as_class: str | None = None) -> str:
    returns = ast.unparse(node.returns) if node.returns else ""
    if "property" in _decorators(node):
        return f"{node.name}: {returns}"
    start, end = (f"{as_class}(", ")") if as_class else (f"def {node.name}(", f") -> {returns}")
    if isinstance(node, ast.AsyncFunctionDef):
        start = f"async {start}"
    arguments = list(_arguments(node.args))
    line = start + ", ".join(arguments) + end
    return line if len(line) <= WIDTH else start + "".join(f"\n    {one}," for one in arguments) + f"\n{end}"


def _arguments(given: ast.arguments) -> Iterator[str]:
    positional = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(positional) - len(given.defaults)) + list(given.defaults)
    for index, (one, default) in enumerate(zip(positional, defaults, strict=True)):
        if index or one.arg not in ("self", "cls"):
            yield _argument(one, default)
        if index + 1 == len(given.posonlyargs) and one.arg not in ("self", "cls"):
            yield "/"
    if given.vararg:
        yield f"*{_argument(given.vararg, None)}"
    elif given.kwonlyargs:
        yield "*"
    for one, keyword_default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield _argument(one, keyword_default)
    if given.kwarg:
        yield f"**{_argument(given.kwarg, None)}"


def _argument(given: ast.arg, default: ast.expr | None) -> str:
    if given.annotation is None:
        return given.arg if default is None else f"{given.arg}={ast.unparse(default)}"
    typed = f"{given.arg}: {ast.unparse(given.annotation)}"
    return typed if default is None else f"{typed} = {ast.unparse(default)}"


def _code(text: str) -> str:
    return f"```py\n{text}\n```\n"


# -- docstrings as Markdown


def markdown(doc: str) -> str:
    """Return a Google-style docstring as Markdown: sections in bold, their entries as lists."""
    doc = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", doc).replace("``", "`")
    lines: list[str] = []
    section = ""
    for line in doc.splitlines():
        head = re.match(rf"({'|'.join(SECTIONS)}):(.*)", line)
        if head:
            section = head[1]
            lines += ["", f"**{section}**:{head[2]}", ""]
        elif (
            section
            and line.startswith("    ")
            and (entry := re.match(r"    (\*{0,2}[\w., ]+?)(?: \(.*?\))?: (.*)", line))
        ):
            lines.append(f"- `{entry[1]}`: {entry[2]}")
        elif section and line.startswith("    "):
            lines.append(f"  {line.strip()}")
        else:
            section = section if not line else ""
            lines.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def index() -> str:
    """Return the page that leads to the others."""
    lines = ["# Reference", "", "Every public name, from its docstring. `make docs` writes these pages.", ""]
    for module in MODULES:
        first = (ast.get_docstring(source_of(module).tree) or "").partition("\n")[0]
        lines.append(f"- [{module}]({module}.md): {first.removesuffix(' Owns nothing itself.')}")
    return "\n".join(lines) + "\n"


def pages() -> dict[Path, str]:
    """Return all pages by where they lie."""
    texts = {PAGES / f"{module}.md": page_of(module) for module in MODULES}
    return {PAGES / "README.md": index(), **texts}


def stale(wanted: Mapping[Path, str]) -> list[Path]:
    """Return the pages that are not what they should be."""
    return [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]


def main() -> int:
    """Write the pages, or check them."""
    sys.path.insert(0, str(ROOT / "src"))  # this checkout's, whatever is installed
    wanted = pages()
    to_write = stale(wanted)
    if sys.argv[1:] not in ([], ["--check"]):
        sys.stderr.write("usage: python docs/build_reference.py [--check]\n")
        return 2
    if sys.argv[1:]:
        sys.stdout.writelines(
            f"{path.relative_to(ROOT)} is not up to date: run `make docs`\n" for path in to_write
        )
        return 1 if to_write else 0
    PAGES.mkdir(exist_ok=True)
    for path in to_write:
        path.write_text(wanted[path])
    sys.stdout.write(f"{len(to_write)} of {len(wanted)} pages written anew\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
