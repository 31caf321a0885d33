"""The checklist of defects and the table of pains are whole, and the tests that they name exist."""

import re

import pytest

#: The contract's section 4: how many defects each of its three lists has.
LISTS = {"Shared by all": 21, "The Elixir original only": 14, "The Python port only": 14}
PAINS = 18

TEST = re.compile(r"`(?P<file>tests/[\w/]+\.py)(?:::(?P<name>\w+))?`")
POINT = re.compile(r"^(?P<number>\d+)\. (?P<text>.*?)(?=^\d+\. |\Z)", re.DOTALL | re.MULTILINE)
ROW = re.compile(
    r"^\| (?P<number>\d+) \| (?P<pain>.+?) \| (?P<answer>.+?) \| (?P<tests>.+?) \|$", re.MULTILINE
)


def section(text, title):
    """Return what stands below a heading, up to the next one."""
    assert f"\n## {title}\n" in text, title
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def missing(root, text):
    """Return the tests that a text names and that do not exist."""
    return [
        found[0]
        for found in TEST.finditer(text)
        if not (root / found["file"]).is_file()
        or (found["name"] and f"def {found['name']}(" not in (root / found["file"]).read_text())
    ]


@pytest.fixture
def checklist(root):
    return (root / "docs" / "explanation" / "defects.md").read_text()


@pytest.fixture
def pains(root):
    return section((root / "README.md").read_text(), "Eighteen pains, and what happens here")


@pytest.mark.parametrize(("title", "count"), LISTS.items())
def test_each_defect_of_the_contract_names_the_tests_of_its_absence(root, checklist, title, count):
    points = list(POINT.finditer(section(checklist, title)))
    assert [int(point["number"]) for point in points] == list(range(1, count + 1))
    assert [point["number"] for point in points if not TEST.search(point["text"])] == []
    assert missing(root, section(checklist, title)) == []


def test_each_pain_says_what_happens_here_and_names_the_test_that_shows_it(root, pains):
    rows = list(ROW.finditer(pains))
    assert [int(row["number"]) for row in rows] == list(range(1, PAINS + 1))
    assert [
        row["number"] for row in rows if not all(found["name"] for found in TEST.finditer(row["tests"]))
    ] == []
    assert [row["number"] for row in rows if not TEST.search(row["tests"])] == []
    assert missing(root, pains) == []


def test_a_test_that_does_not_exist_is_found(root):
    here = "tests/house/test_defects.py"
    assert missing(root, f"`{here}::test_a_test_that_does_not_exist_is_found`, `{here}`") == []
    wrong = [f"`{here}::test_another`", "`tests/house/test_nothing.py`"]
    assert missing(root, " ".join(wrong)) == wrong
