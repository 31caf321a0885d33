"""The README's programs run as they are written."""

import os
import re
import subprocess
import sys

import pytest

from trunkline.gateway.simulator import Simulator

#: Design, section 5, word for word: what a new user reads first, and copies.
FIRST_PROGRAM = """\
from trunkline import AssistantText, AssistantTurnCompleted, Broker, Config, OpenAIGateway

config = Config(modalities=["text"], instructions="You are a concise assistant.",
                turn_detection="none", input_audio_transcription=False)

with Broker.start("gpt-realtime-2", gateway=OpenAIGateway(), config=config) as broker:
    session = broker.connect().get()
    events = session.events()
    session.send_text("What's the capital of Canada?").get()
    for event in events:
        match event:
            case AssistantText(text=text):
                print(text)
            case AssistantTurnCompleted():
                break
    session.close().get()
"""

BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
DEADLINE_S = 30.0


def blocks(text, language):
    """Return the fenced blocks of one language, in order."""
    return [match["code"] for match in BLOCK.finditer(text) if match["language"] == language]


def run(program, cwd, url):
    """Run a program as it is written, with the environment of a user whose provider is at ``url``."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    environment |= {"OPENAI_API_KEY": "sk-none", "OPENAI_BASE_URL": url.removesuffix("/realtime")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@pytest.fixture(scope="module")
def readme(root):
    return (root / "README.md").read_text()


def test_the_first_program_is_the_designs(readme):
    assert blocks(readme, "python")[0] == FIRST_PROGRAM


def test_the_first_program_answers_the_question(tmp_path):
    with Simulator() as simulator:
        done = run(FIRST_PROGRAM, tmp_path, simulator.url)
    assert done.returncode == 0, done.stderr
    assert "Ottawa" in done.stdout
    assert done.stderr == ""


def test_every_program_is_python(readme):
    for code in blocks(readme, "python"):
        compile(code, "README.md", "exec")


def test_the_commands_of_the_readme_are_make_targets(root, readme):
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b", "\n".join(blocks(readme, "sh") + blocks(readme, "bash"))))
    assert {"run", "test"} <= named
    assert named <= targets


def test_blocks_are_found_by_language():
    text = "a\n```python\nx = 1\n```\n\n```sh\nls\n```\n```python\ny = 2\n```\n"
    assert blocks(text, "python") == ["x = 1\n", "y = 2\n"]
    assert blocks(text, "sh") == ["ls\n"]
