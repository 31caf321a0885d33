"""The how-to on surviving a restart is so: its program is killed with SIGKILL and goes on, line by line as the page shows."""

import queue
import re
import signal
import subprocess
import sys
import threading

import pytest

from trunkline.simulator import FunctionBrain, Gate, Hold, RuleBrain, Simulator

BLOCK = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
THE_PAGE_S_URL = "ws://127.0.0.1:8765/v1/realtime"
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def page(root):
    return (root / "docs" / "how-to" / "survive-a-restart.md").read_text()


def blocks(page, info):
    return [found["text"] for found in BLOCK.finditer(page) if found["info"] == info]


class Terminal:
    """The program in a process of its own."""

    def __init__(self, program, folder):
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", str(program)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read, name="the terminal", daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))

    def play(self, shown):
        """Type what a user types, and see what is printed, as the page shows it."""
        for line in shown.splitlines():
            if line.startswith(("(", "assistant:")):
                assert self._lines.get(timeout=PATIENCE_S) == line
            else:
                self.process.stdin.write(line + "\n")
                self.process.stdin.flush()

    def end(self):
        """End the input; return what was printed besides, what was said on stderr, and the status."""
        self.process.stdin.close()
        status = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        besides = [self._lines.get_nowait() for _ in range(self._lines.qsize())]
        errors = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return besides, errors, status

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        return self.end()


@pytest.fixture
def terminal(tmp_path, page):
    """Start the page's program against a simulator."""
    started = []

    def start(simulator):
        (program,) = blocks(page, "python chat.py")
        assert THE_PAGE_S_URL in program
        (tmp_path / "chat.py").write_text(program.replace(THE_PAGE_S_URL, simulator.url))
        started.append(Terminal("chat.py", tmp_path))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()


def test_the_chat_goes_on_after_a_sigkill_as_the_page_shows(page, terminal):
    gate = Gate()
    rules = RuleBrain()

    def reply(conversation):
        is_second = "Canada" in str(conversation)
        return [*([Hold(gate)] if is_second else []), *rules.reply(conversation)]

    before, after = blocks(page, "text")
    with Simulator(FunctionBrain(reply)) as simulator:
        first = terminal(simulator)
        first.play(before)
        gate.wait_reached(PATIENCE_S)
        assert first.kill() == ([], "", -signal.SIGKILL)

        second = terminal(simulator)
        history, goes_on = after.split("assistant: The capital", 1)
        second.play(history)
        gate.open()  # the page's simulator is slow: there the answer comes when the history has been shown, too
        second.play("assistant: The capital" + goes_on)
        assert second.end() == ([], "", 0)

        third = terminal(simulator)  # it was ended and forgotten
        third.play("My name is Bob.\nassistant: Nice to meet you, Bob.\n")
        assert third.end() == ([], "", 0)


def test_the_page_starts_the_simulator_that_its_program_talks_to(page):
    (command,) = [text for text in blocks(page, "sh") if "trunkline.simulator" in text]
    assert THE_PAGE_S_URL.split(":")[2].split("/")[0] in command
