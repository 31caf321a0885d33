"""The limit of open files is raised as far as it goes. Each test in a process of its own: a limit is the whole process's."""

import subprocess
import sys

import pytest

from trunkline.gateway.open_files import raise_open_file_limit

PRELUDE = """
import resource
from trunkline.gateway.open_files import OpenFileLimit, raise_open_file_limit
def limits(): return resource.getrlimit(resource.RLIMIT_NOFILE)
hard = min(4096, limits()[1] if limits()[1] != resource.RLIM_INFINITY else 4096)
"""


def run(code, pythonpath):
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code],
        env={"PYTHONPATH": pythonpath},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def pythonpath():
    """Where this process found what it imports, so that the other one finds the same."""
    return ":".join(path for path in sys.path if path)


def test_the_soft_limit_becomes_the_hard_one_and_is_reported(pythonpath):
    run(
        """
resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
assert raise_open_file_limit() == (hard, hard) == limits(), limits()
assert raise_open_file_limit() == OpenFileLimit(soft=hard, hard=hard)
import os
held = [os.dup(0) for _ in range(300)]
""",
        pythonpath,
    )


def test_a_limit_that_is_as_high_as_it_goes_is_left_alone(pythonpath):
    run(
        """
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
assert raise_open_file_limit() == (hard, hard) == limits()
""",
        pythonpath,
    )


def test_a_system_without_limits_is_none_of_our_business(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert raise_open_file_limit() is None


class Kernel:
    """A `resource` module whose kernel allows less than its hard limit says."""

    RLIMIT_NOFILE = 7
    RLIM_INFINITY = -1

    def __init__(self, soft, hard, allowed):
        self.limits, self.allowed = (soft, hard), allowed

    def getrlimit(self, kind):
        assert kind == self.RLIMIT_NOFILE
        return self.limits

    def setrlimit(self, kind, limits):
        assert kind == self.RLIMIT_NOFILE
        if limits[0] == self.RLIM_INFINITY or limits[0] > self.allowed:
            raise ValueError("current limit exceeds maximum limit")
        self.limits = limits


@pytest.mark.parametrize(
    ("soft", "hard", "allowed", "expected"),
    [
        (256, -1, 10_240, (10_240, None)),
        (256, -1, 100_000, (65_536, None)),
        (256, -1, 10_000_000, (1_048_576, None)),
        (256, -1, 256, (256, None)),
        (20_000, -1, 20_000, (20_000, None)),
        (-1, -1, 0, (None, None)),
        (256, 4096, 0, (256, 4096)),
    ],
)
def test_a_kernel_that_allows_less_is_asked_for_less(monkeypatch, soft, hard, allowed, expected):
    kernel = Kernel(soft, hard, allowed)
    monkeypatch.setitem(sys.modules, "resource", kernel)
    assert raise_open_file_limit() == expected
    assert kernel.limits[1] == hard, "the hard limit can never be raised again once it was lowered"
