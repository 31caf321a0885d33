"""The README's programs run as they are written."""

import os
import re
import shlex
import subprocess
import sys
import tomllib

import pytest

from trunkline.gateway.simulator import Simulator, command_line, command_options

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


def test_every_other_program_runs_silently(readme, tmp_path):
    others = [code for code in blocks(readme, "python")[1:] if "def test_" not in code]
    assert len(others) >= 2
    with Simulator() as simulator:
        for code in others:
            done = run(code, tmp_path, simulator.url)
            assert (done.returncode, done.stderr) == (0, "")


def test_the_program_with_a_durable_log_finds_what_it_said_in_its_last_life(readme, tmp_path):
    (program,) = [code for code in blocks(readme, "python") if "SqliteSessionLog" in code]
    with Simulator() as simulator:
        first = run(program, tmp_path, simulator.url)
        second = run(program, tmp_path, simulator.url)
    assert (first.stdout, first.returncode) == ("[]\n", 0), first.stderr
    assert "'My name is Ada.'" in second.stdout, second.stderr


def test_the_test_of_the_readme_passes(readme, tmp_path):
    (code,) = [code for code in blocks(readme, "python") if "def test_" in code]
    (tmp_path / "test_readme_s.py").write_text(code)
    plugin = ["-p", "trunkline.pytest_plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", *plugin],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_simulator_s_command_lines_are_understood(readme):
    parser = command_options.parser()
    commands = re.findall(r"^python -m trunkline\.simulator (.*?)(?: +#.*)?$", readme, re.MULTILINE)
    assert len(commands) >= 3
    for command in commands:
        if command != "--help":
            options = parser.parse_args(shlex.split(command))
            assert command_line._brain(options.brain)


def test_the_extras_that_can_be_installed_exist(root, readme):
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {one for some in re.findall(r"\.\[([\w,]+)\]", readme) for one in some.split(",")}
    assert named == set(extras)


def test_after_make_run_every_example_has_what_it_needs(root):
    """The README says that each runs then as it is; one resamples, and so needs more than the simulator."""
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    recipe = (root / "Makefile").read_text().partition("$(VENV)/.run:")[2].partition("\n\n")[0]
    installed = re.findall(r"--editable '\.\[([\w,]+)\]'", recipe)
    assert [set(some.split(",")) for some in installed] == [set(extras)]


def test_every_link_leads_somewhere_and_every_test_exists(root, readme):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", readme)
    tests = re.findall(r"`(tests/[\w/]+\.py)", readme)
    assert len(tests) >= 7
    assert [one for one in [*links, *tests] if not (root / one).exists()] == []


def test_the_commands_of_the_readme_are_make_targets(root, readme):
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b", "\n".join(blocks(readme, "sh") + blocks(readme, "bash"))))
    assert {"run", "test"} <= named
    assert named <= targets


def test_every_example_is_named(root, readme):
    examples = {f"examples/{path.name}" for path in (root / "examples").glob("*.py")} - {
        "examples/provider.py"
    }
    assert [one for one in sorted(examples) if f"({one})" not in readme] == []


def test_blocks_are_found_by_language():
    text = "a\n```python\nx = 1\n```\n\n```sh\nls\n```\n```python\ny = 2\n```\n"
    assert blocks(text, "python") == ["x = 1\n", "y = 2\n"]
    assert blocks(text, "sh") == ["ls\n"]
