"""What users copy runs as it is: the example's tests and those of the how-to, under pytest with our plugin and no other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trunkline.testing import FAULTS, FaultPlan, ImpossibleFault
from trunkline.testing import __all__ as kit

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "test-against-faults.md"
EXAMPLE = ROOT / "examples" / "test_your_agent.py"
BLOCK = re.compile(r"^```python test\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
DEADLINE_S = 50.0


@pytest.fixture
def run(tmp_path):
    """`run(code)`: pytest's output over a file with this code, which has to pass; and how many tests passed."""

    def start(code):
        (tmp_path / "test_copied.py").write_text(code)
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-W",
                "error",
                "-p",
                "trunkline.pytest_plugin",
                "-p",
                "no:cacheprovider",
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return int(re.search(r"(\d+) passed", done.stdout)[1])

    return start


def test_the_example_passes_wherever_it_is_copied_to(run):
    code = EXAMPLE.read_text()
    assert run(code) >= code.count("\ndef test_")


def test_the_tests_of_the_how_to_pass(run):
    code = "\n".join(match["code"] for match in BLOCK.finditer(PAGE.read_text()))
    assert code.count("\ndef test_") >= 4
    assert run(code) >= code.count("\ndef test_")


def test_the_how_to_names_every_fault():
    text = PAGE.read_text()
    assert [fault.__name__ for fault in FAULTS if f"`{fault.__name__}" not in text] == []
    assert {fault.__name__ for fault in FAULTS} <= set(kit)


def test_the_faults_that_the_how_to_keeps_out_of_a_transport_are_those():
    (sentence,) = re.findall(
        r"only the first two touch bytes:(.*?)cannot act in a transport", PAGE.read_text(), re.DOTALL
    )
    assert set(re.findall(r"`(\w+)`", sentence)) == {
        fault.__name__ for fault in FAULTS if "transport" not in fault.seams
    }
    assert FaultPlan().check("transport") is None
    assert issubclass(ImpossibleFault, ValueError)
