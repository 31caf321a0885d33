"""What the pages say is so: their programs run and print what they say, and the tests and modules that they name exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import trunkline.supervision

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
DEADLINE_S = 30.0
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)(?P<target>[^)#]+)")
MODULE = re.compile(r"`(?P<file>(?:actors|gateway|supervision|src|interop|benchmarks|examples)/[\w/]+\.py)`")
TEST = re.compile(r"`(?P<file>tests/[\w/]+\.py)(?:::(?P<name>\w+))?`")
SHOWN = re.compile(r"^- \((?P<number>\d+)\) (?P<tests>.*?)(?=^- |\n\n|\Z)", re.DOTALL | re.MULTILINE)
NUMBERED = re.compile(r"^\d+\. .*?(?=^\d+\. |\n\n|\Z)", re.DOTALL | re.MULTILINE)


def blocks(text):
    """Return the fenced blocks of a page: what follows the fence, and what is in it."""
    return [(match["info"].strip(), match["text"]) for match in FENCE.finditer(text)]


def programs(text):
    """Return the blocks marked "python runnable", each with the "text" block that follows it: what it prints, or None."""
    found = blocks(text)
    after = [*found, ("", "")][1:]
    return [
        (code, printed if language == "text" else None)
        for (info, code), (language, printed) in zip(found, after, strict=True)
        if info == "python runnable"
    ]


def name_of(page):
    return str(page.relative_to(ROOT))


def programs_of_all_pages():
    return [
        pytest.param(code, printed, id=f"{name_of(page)}, program {number}")
        for page in PAGES
        for number, (code, printed) in enumerate(programs(page.read_text()), 1)
    ]


def numbered(text):
    """Return the points of a numbered list, each on one line."""
    return [" ".join(point.split()) for point in NUMBERED.findall(text)]


@pytest.mark.parametrize(("code", "printed"), programs_of_all_pages())
def test_a_runnable_program_runs_and_prints_what_the_page_says(code, printed, tmp_path):
    (tmp_path / "program.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-W", "error", "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if printed is not None:
        assert done.stdout == printed, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_python_block_compiles(page):
    for info, code in blocks(page.read_text()):
        if info.split()[:1] == ["python"]:
            compile(code, name_of(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_inside_the_repository_leads_somewhere(page):
    broken = [
        link["target"]
        for link in LINK.finditer(page.read_text())
        if not (page.parent / link["target"]).exists()
    ]
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_tests_that_a_page_names_exist(page):
    for test in TEST.finditer(page.read_text()):
        file = ROOT / test["file"]
        assert file.is_file(), f"{name_of(page)} names {test['file']}, which does not exist"
        if test["name"] is not None:
            assert f"def {test['name']}(" in file.read_text(), test["name"]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_modules_that_a_page_names_exist(page):
    assert [
        one["file"] for one in MODULE.finditer(page.read_text()) if not (ROOT / one["file"]).is_file()
    ] == []


def test_every_decision_is_in_the_index_once_and_in_order():
    folder = ROOT / "docs" / "decisions"
    records = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text()) == records
    assert [name[:4] for name in records] == [f"{number:04}" for number in range(1, len(records) + 1)]


@pytest.fixture
def differences_from_otp():
    """The section of the page on supervision."""
    page = (ROOT / "docs" / "explanation" / "supervision.md").read_text()
    return page.split("## Differences from OTP", 1)[1].split("\n## ", 1)[0]


def test_the_differences_from_otp_are_those_of_the_code(differences_from_otp):
    """Word for word: who changes one list changes the other."""
    assert numbered(differences_from_otp) == numbered(trunkline.supervision.__doc__) != []


def test_each_difference_from_otp_names_the_tests_that_show_it(differences_from_otp):
    """That they exist is checked for every page; that they pass, by running them."""
    shown = {found["number"]: TEST.findall(found["tests"]) for found in SHOWN.finditer(differences_from_otp)}
    assert list(shown) == [point.split(".")[0] for point in numbered(trunkline.supervision.__doc__)]
    assert all(tests and all(name for _, name in tests) for tests in shown.values())


def test_the_gallery_is_not_empty():
    assert len(programs_of_all_pages()) >= 2


def test_programs_are_found_with_what_they_print():
    text = "```python runnable\nprint(1)\n```\n\n```text\n1\n```\n```python\nx\n```\n```python runnable\ny\n```\n"
    assert programs(text) == [("print(1)\n", "1\n"), ("y\n", None)]


def test_a_numbered_list_is_read_point_by_point():
    assert numbered("Words:\n\n1. one\n   and more\n2. two\n\nMore words.\n") == ["1. one and more", "2. two"]
