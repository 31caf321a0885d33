"""pykka's own test suite, from its sdist, with our base class as its actor class: what pykka promises its users still holds."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import trunkline.supervision

REPOSITORY = Path(__file__).parents[2]
ORIGINAL_IMPORT = "from pykka import ActorRegistry, ThreadingActor, ThreadingFuture\n"
OUR_IMPORT = """\
from pykka import ActorRegistry
from pykka import ThreadingActor as _ThreadingActor

from trunkline.supervision import Future as ThreadingFuture
from trunkline.supervision import {base}


class ThreadingActor({bases}):
    let_it_crash = False
    use_daemon_thread = False


"""


@pytest.fixture(scope="module")
def sdist() -> Path:
    """The source distribution of the pykka that is installed: downloaded once, kept in build/."""
    version = importlib.metadata.version("pykka")
    cache = REPOSITORY / "build" / "pykka-sdist"
    found = sorted(cache.glob(f"[Pp]ykka-{version}.tar.gz"))
    if not found:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        done = subprocess.run(
            [*command, "--dest", str(cache), f"pykka=={version}"],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"pykka's sdist could not be downloaded:\n{done.stdout}\n{done.stderr}"
        found = sorted(cache.glob(f"[Pp]ykka-{version}.tar.gz"))
    assert found, f"pip left no sdist in {cache}"
    return found[0]


def unpack(sdist: Path, into: Path) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(into, filter="data")
    (root,) = into.iterdir()
    return root


@pytest.mark.slow
@pytest.mark.timeout(360)
@pytest.mark.parametrize(
    ("base", "bases"),
    [("Supervised", "Supervised, _ThreadingActor"), ("GenServer", "GenServer")],
    ids=["Supervised + ThreadingActor", "GenServer that survives asks"],
)
def test_pykkas_own_suite_passes_with_our_actor_class(
    base: str, bases: str, sdist: Path, tmp_path: Path
) -> None:
    root = unpack(sdist, tmp_path)
    conftest = root / "tests" / "conftest.py"
    source = conftest.read_text()
    assert ORIGINAL_IMPORT in source, "pykka's conftest changed: adapt this test"
    conftest.write_text(source.replace(ORIGINAL_IMPORT, OUR_IMPORT.format(base=base, bases=bases)))

    # Not the sdist's src/: the pykka that is installed is the one that is tested.
    package_parent = Path(trunkline.supervision.__file__).parents[2]
    environment = {
        **os.environ,
        "PYTHONPATH": str(package_parent),
        "PYTEST_ADDOPTS": "",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(root), "-p", "no:randomly", "-p", "no:cacheprovider",
         "-q", "-rs", "tests"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=330,
        check=False,
    )  # fmt: skip

    summary = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", summary.split(" in ")[0])}
    assert done.returncode == 0, done.stdout + done.stderr
    assert counts.pop("passed", 0) > 100, summary
    assert not any(counts.values()), f"failed, skipped or worse: {summary}"
