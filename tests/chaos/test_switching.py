"""The core of the supervision suite, with threads that are switched as often as can be: in a process of its own."""

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

#: Whole files; not those that set the switch interval themselves, measure the suite's other tools or start processes.
FILES = (
    "test_supervisor",
    "test_dynamic_supervisor",
    "test_genserver",
    "test_mailbox",
    "test_selectable_mailbox",
    "test_messaging",
    "test_monitor",
    "test_stable_ref",
    "test_stable_proxy",
    "test_supervised",
    "test_tree",
    "test_reports",
)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_core_of_the_suite_passes_when_threads_are_switched_all_the_time(tmp_path, pytestconfig):
    (tmp_path / "frantic_switching.py").write_text(textwrap.dedent(PLUGIN))
    root = pytestconfig.rootpath
    files = [str(root / "tests" / "supervision" / f"{name}.py") for name in FILES]
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
    ]
    # The path of this process: the tests may be running against the built wheel.
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [*command, "-o", "pythonpath=", *files],
        cwd=root,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5_000:] + done.stderr[-2_000:]
    assert " passed" in done.stdout
