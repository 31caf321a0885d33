"""The supervision suite, with threads that are switched as often as can be: in a process of its own."""

import os
import subprocess
import sys
import textwrap

import pytest

PLUGIN = """
import sys

import pytest

def pytest_configure(config):
    sys.setswitchinterval(1e-6)

@pytest.fixture(autouse=True)
def frantic():
    sys.setswitchinterval(1e-6)
    yield
    # Somebody may have set it back: then the run proved nothing.
    assert sys.getswitchinterval() < 1e-5
"""


def the_same_seeds(config):
    """What repeats this run repeats that one too."""
    seeds = {name: config.getoption(name, None) for name in ("randomly_seed", "hypothesis_seed")}
    return [f"--{name.replace('_', '-')}={seed}" for name, seed in seeds.items() if seed is not None]


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_the_whole_suite_passes_when_threads_are_switched_all_the_time(tmp_path, pytestconfig):
    (tmp_path / "frantic_switching.py").write_text(textwrap.dedent(PLUGIN))
    root = pytestconfig.rootpath
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "frantic_switching",
        "-p",
        "no:cacheprovider",
        *the_same_seeds(pytestconfig),
    ]
    # The path of this process: the tests may be running against the built wheel.
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [*command, "-o", "pythonpath=", str(root / "tests" / "supervision")],
        cwd=root,
        env={**os.environ, "PYTHONPATH": path, "STEPS": "1000"},  # of the model: it has had its time
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5_000:] + done.stderr[-2_000:]
    assert " passed" in done.stdout
