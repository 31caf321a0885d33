"""Each example is a program: it runs, says what it should, says nothing on stderr, and ends with status 0."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import trunkline
from trunkline.simulator import decode_words, encode_words

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
HERE = str(
    Path(trunkline.__file__).resolve().parents[1]
)  # the checkout's src, or where the wheel is installed
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
    "wav_voice.py": [
        r"you: What's the capital of Canada\n",
        r"answer\.wav: .* at 24000 Hz, it says: The capital of Canada is Ottawa\.",
    ],
    "push_to_talk.py": [
        r"you: What's the capital of Canada\nassistant: The capital of Canada is Ottawa\.\n\(\d+ ms of speech\)",
        r"nothing was said: commit_audio needs 100 ms",
        r"you: What's the capital of Japan\nassistant: The capital of Japan is Tokyo",
    ],
    "interruption.py": [
        r"turn 1 is (completed|cancelled)",  # whichever is faster, the provider or the user
        r"the user speaks\ninterrupted \(barge_in\): \d+ ms were heard",
        r"turn 2 is completed",
        r"assistant: one[\w ]* \[cut off here\]\nuser: What's the capital of Canada",
        r"assistant: The capital of Canada is Ottawa",
    ],
    "provider.py": [],
    "test_your_agent.py": [],  # run by tests/testing/test_what_users_copy.py, under pytest
}


def run(script: Path, *arguments: str, **environment: str) -> str:
    """Run a script as a user would, without a key; return what it printed."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("OPENAI_API_KEY", "PYTHONPATH", "TRUNKLINE_MODEL")
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), *arguments],
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
    printed = run(EXAMPLES / name, PYTHONPATH=HERE)
    for pattern in EXPECTED[name]:
        assert re.search(pattern, printed, re.DOTALL), (pattern, printed)
    if name == "demo.py":
        one_session_restarted(printed)
        the_readme_shows_it(printed)


def test_a_stereo_file_of_another_rate_is_understood_and_answered_by_a_file(tmp_path: Path) -> None:
    question, answer = tmp_path / "question.wav", tmp_path / "answer.wav"
    left = encode_words("What's the capital of Japan", 32_000)
    with wave.open(str(question), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(32_000)
        file.writeframes(np.stack([left, left], 1).tobytes())
    printed = run(EXAMPLES / "wav_voice.py", str(question), str(answer), PYTHONPATH=HERE)
    assert "you: What's the capital of Japan" in printed
    with wave.open(str(answer), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
        said = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert [heard.word for heard in decode_words(said)] == ["The", "capital", "of", "Japan", "is", "Tokyo."]


def a_wav(path: Path, *, n_channels: int = 1, width: int = 2, n_frames: int = 24_000) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(n_channels)
        file.setsampwidth(width)
        file.setframerate(24_000)
        file.writeframes(bytes(n_frames * n_channels * width))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, r"question\.wav: not a WAV file .*FileNotFoundError"),
        (lambda path: path.write_bytes(b""), r"question\.wav: not a WAV file .*EOFError"),
        (lambda path: path.write_text("no sound at all"), r"question\.wav: not a WAV file .*RIFF"),
        (lambda path: a_wav(path, width=3), r"24 bit, 1 channels; this example reads 16 bit"),
        (lambda path: a_wav(path, n_channels=6), r"16 bit, 6 channels; .*mono or stereo"),
        (lambda path: a_wav(path, n_frames=0), r"0 ms; a provider takes 100 ms or more"),
        (lambda path: (a_wav(path), path.write_bytes(path.read_bytes()[:1045])), r"21 ms; a provider takes"),
    ],
)
def test_a_file_that_is_no_question_is_named_with_what_is_wrong_with_it(
    make: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    make(tmp_path / "question.wav")
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "wav_voice.py"), "question.wav", "answer.wav"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": HERE},
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert re.search(said, line)
    assert not (tmp_path / "answer.wav").exists()


def one_session_restarted(printed: str) -> None:
    """Check the demo's two trees: of all actors one session has a new urn, and one restart."""
    before, after = (
        dict(re.findall(r"(\S+ \((?!ConnectWorker)\w+\))  running, (\w{8})", part))  # which is about to end
        for part in re.split(r"the tree after", printed.split("the tree before:")[1])
    )
    assert before.keys() == after.keys()
    assert len(before) == 6
    (changed,) = [name for name in before if before[name] != after[name]]
    assert changed.startswith("session_")
    assert changed.endswith("(SessionActor)")
    assert printed.count("restarts: 1") == 2


def the_readme_shows_it(printed: str) -> None:
    """Check the README's excerpt: these lines, in this order, without their times."""
    excerpt = re.search(r"^```text\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert excerpt is not None
    lines = iter([re.sub(r"^ *[\d.]+s  ", "", line).strip() for line in printed.splitlines()])
    assert [line for line in excerpt[1].splitlines() if line not in lines] == []


@pytest.mark.parametrize("name", ["interruption.py", "push_to_talk.py"])
def test_ctrl_c_ends_an_example_whatever_threads_it_has(name: str) -> None:
    # Who runs the tests in the background ignores SIGINT, and a child would inherit that.
    program = (
        "import runpy, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"sys.path.insert(0, {str(EXAMPLES)!r})\n"
        "import provider; slowly = provider.gateway\n"
        "provider.gateway = lambda: slowly(delta_interval_s=5.0)\n"  # it has not ended before it is told to
        f"runpy.run_path({str(EXAMPLES / name)!r}, run_name='__main__')\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        env={**environment, "PYTHONPATH": HERE},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline()
            running.send_signal(signal.SIGINT)
            _, complained = running.communicate(timeout=BOUND_S)
        finally:
            running.kill()
    assert running.returncode == -signal.SIGINT
    assert complained.splitlines()[-1] == "KeyboardInterrupt"


def test_an_example_runs_from_anywhere_with_the_package_installed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    script = tmp_path / "elsewhere" / "text_mode.py"
    for name in ("text_mode.py", "provider.py"):
        (script.parent / name).write_text((EXAMPLES / name).read_text())
    installed = subprocess.run(
        [sys.executable, "-I", "-c", "import trunkline"], cwd=tmp_path, capture_output=True, check=False
    )
    if installed.returncode:  # a bare interpreter with src on pytest's path: the other tests cover it
        assert "Ottawa" in run(script, PYTHONPATH=HERE)
    else:
        assert "Ottawa" in run(script)
