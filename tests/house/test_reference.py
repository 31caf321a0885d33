"""The pages under docs/reference tell of every public name, and every public name has a docstring."""

import importlib
import inspect
import re
import runpy

import pytest

LINK = re.compile(r"\]\((?P<page>[\w.]*)#(?P<anchor>[\w-]+)\)")
HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
ENTRY = re.compile(r"^## (?P<name>\w+)$", re.MULTILINE)
RAISES = re.compile(r"^Raises[^\n]*:\n((?:    .*\n?|\n)*)", re.MULTILINE)
ERROR = re.compile(r"^    ([\w.]+(?:(?:, | or )[\w.]+)*): ", re.MULTILINE)
PUBLIC = (
    "trunkline",
    "trunkline.supervision",
    "trunkline.gateway",
    "trunkline.simulator",
    "trunkline.testing",
)
CODE = re.compile(r"^```py\n.*?^```$", re.DOTALL | re.MULTILINE)
AS_MARKDOWN = """Say something.

**Args**:

- `text`: what to say,
  in words.

**Raises**:

- `InvalidCommand`: no text. The caller's fault."""


@pytest.fixture(scope="module")
def builder(root):
    return runpy.run_path(str(root / "docs" / "build_reference.py"))


@pytest.fixture(scope="module")
def pages(builder):
    return builder["pages"]()


def anchors(text):
    """Return the places of a page's headings, named as GitHub names them."""
    seen, places = {}, set()
    for heading in HEADING.finditer(CODE.sub("", text)):
        slug = re.sub(r"[^\w -]", "", heading["title"].lower()).replace(" ", "-")
        seen[slug] = seen.get(slug, -1) + 1
        places.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
    return places


def test_a_page_that_is_not_up_to_date_is_named(builder, pages, tmp_path):
    """That none is, `make lint` checks: who changes a docstring runs `make docs`."""
    (tmp_path / "old.md").write_text("old")
    wanted = {tmp_path / "old.md": "new", tmp_path / "missing.md": "new", tmp_path / "same.md": "same"}
    (tmp_path / "same.md").write_text("same")
    assert [path.name for path in builder["stale"](wanted)] == ["old.md", "missing.md"]


def test_no_page_is_left_over(root, pages):
    assert set((root / "docs" / "reference").glob("*")) == set(pages)


def docstrings(module):
    """Return the docstrings of a module's public names and of their methods, by name."""
    for name in module.__all__ if hasattr(module, "__all__") else vars(module):
        value = getattr(module, name)
        if inspect.isclass(value):
            members = {f"{name}.{member}": inspect.getdoc(one) for member, one in inspect.getmembers(value)}
            yield from (
                (where, doc) for where, doc in members.items() if not where.split(".")[1].startswith("_")
            )
        if inspect.isclass(value) or inspect.isfunction(value):
            yield name, inspect.getdoc(value)


def exists(error):
    """Whether an error is what it is called: a public name, a builtin, or the dotted name of one."""
    home, _, name = error.rpartition(".")
    homes = [home] if home else [*PUBLIC, "trunkline.actors.tool_errors", "builtins"]
    return any(isinstance(getattr(importlib.import_module(one), name, None), type) for one in homes)


@pytest.mark.parametrize("module", PUBLIC)
def test_the_errors_that_a_docstring_names_exist(module):
    named = {
        (where, error)
        for where, doc in docstrings(importlib.import_module(module))
        for section in RAISES.findall(doc or "")
        for errors in ERROR.findall(section)
        for error in re.split(", | or ", errors)
    }
    assert [(where, error) for where, error in sorted(named) if not exists(error)] == []


def test_every_public_name_is_told_of(builder, pages):
    for module in builder["MODULES"]:
        (text,) = [text for path, text in pages.items() if path.name == f"{module}.md"]
        assert set(builder["names_of"](module)) <= {entry["name"] for entry in ENTRY.finditer(text)}


def test_every_public_name_has_a_docstring(builder):
    silent = [
        f"{module}.{name}"
        for module in builder["MODULES"]
        for name in builder["names_of"](module)
        if not builder["find"](module, name).doc
    ]
    assert silent == []


def test_every_link_between_entries_leads_somewhere(pages):
    places = {path.name: anchors(text) for path, text in pages.items()}
    for path, text in pages.items():
        for link in LINK.finditer(text):
            assert link["anchor"] in places[link["page"] or path.name], (path.name, link[0])


def test_a_docstring_becomes_markdown(builder):
    doc = (
        "Say something.\n\nArgs:\n    text: what to say,\n        in words.\n\n"
        "Raises:\n    InvalidCommand: no text. The caller's fault."
    )
    assert builder["markdown"](doc) == AS_MARKDOWN
    assert builder["markdown"](":class:`Broker` and ``None``") == "`Broker` and `None`"
