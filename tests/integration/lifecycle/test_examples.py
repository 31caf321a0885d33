"""Each example is a program: it runs, says what it should, says nothing on stderr, and ends with status 0."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
BOUND_S = 50.0

EXPECTED = {
    "text_mode.py": [r"Ottawa"],
    "with_tools.py": [
        r"calls lookup_order\(\{'order_id': '4711'\}\)",
        r"it returns \{.*'status': 'shipped'",
        r"shipped",
    ],
    "parallel_tools.py": [
        r"asked for Paris\nasked for Tokyo",
        r"known: 18 degrees and sunny in Paris",
        r"known: 18 degrees and sunny in Tokyo",
        r"Paris.*Tokyo",
    ],
    "embedded_actor.py": [
        r"accepted as item",
        r"front desk: .*Paris",
        r"the session was closed by the client",
    ],
    "crash_restart.py": [r"resumed=True.*restarts=1", r"restarts: 1", r"Ada", r"Tokyo"],
    "demo.py": [r"Ottawa", r"at most 2 tools were at work", r"your name is Ada|Ada", r"threads left: none"],
    "provider.py": [],
    "test_your_agent.py": [],  # run by tests/testing/test_what_users_copy.py, under pytest
}


def run(script: Path, **environment: str) -> str:
    """Run a script as a user would, without a key; return what it printed."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("OPENAI_API_KEY", "PYTHONPATH", "TRUNKLINE_MODEL")
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=script.parent.parent,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_every_example_is_listed_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(EXPECTED)


@pytest.mark.parametrize("name", [name for name in EXPECTED if EXPECTED[name]])
def test_the_example_runs_and_says_what_it_should(name: str) -> None:
    # Where the package is not installed, the checkout's own sources do.
    printed = run(EXAMPLES / name, PYTHONPATH=str(ROOT / "src"))
    for pattern in EXPECTED[name]:
        assert re.search(pattern, printed, re.DOTALL), (pattern, printed)
    if name == "demo.py":
        one_session_restarted(printed)


def one_session_restarted(printed: str) -> None:
    """Check the demo's two trees: of all actors one session has a new urn, and one restart."""
    before, after = (
        dict(re.findall(r"(\S+ \(\w+\))  running, (\w{8})", part))
        for part in re.split(r"the tree after", printed.split("the tree before:")[1])
    )
    assert before.keys() == after.keys()
    assert len(before) == 6
    (changed,) = [name for name in before if before[name] != after[name]]
    assert changed.startswith("session_")
    assert changed.endswith("(SessionActor)")
    assert printed.count("restarts: 1") == 2


def test_an_example_runs_from_anywhere_with_the_package_installed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    script = tmp_path / "elsewhere" / "text_mode.py"
    for name in ("text_mode.py", "provider.py"):
        (script.parent / name).write_text((EXAMPLES / name).read_text())
    installed = subprocess.run(
        [sys.executable, "-I", "-c", "import trunkline"], cwd=tmp_path, capture_output=True, check=False
    )
    if installed.returncode:  # a bare interpreter with src on pytest's path: the other tests cover it
        assert "Ottawa" in run(script, PYTHONPATH=str(ROOT / "src"))
    else:
        assert "Ottawa" in run(script)
