"""The pages under docs/reference tell of every public name, and every public name has a docstring."""

import re
import runpy

import pytest

LINK = re.compile(r"\]\((?P<page>[\w.]*)#(?P<anchor>[\w-]+)\)")
HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
ENTRY = re.compile(r"^## (?P<name>\w+)$", re.MULTILINE)
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
