"""Tools in processes of their own: what they return, how they die, and that nothing of them is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trunkline import Broker, Config, OpenAIGateway, ToolDefinitionError, tool
from trunkline.actors.cancel_token import CancelToken
from trunkline.actors.tool_context import ToolContext
from trunkline.actors.tool_outcome import ToolOutcome
from trunkline.actors.tool_processes import ToolProcesses

PATIENCE_S = 20.0


def eventually(condition: Callable[[], object], what: str) -> None:
    deadline, pause = time.monotonic() + PATIENCE_S, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true"
        pause.wait(0.005)


def is_gone(pid: int) -> bool:
    """Whether there is no process of this id, not even a zombie."""
    return not os.path.exists(f"/proc/{pid}")


def has_ended(pid: int) -> bool:
    """Whether a process that is not ours to wait for has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


class Call:
    """A call at work in a thread of its own, as in a ToolWorker."""

    def __init__(self, processes: ToolProcesses, tool: Any, **arguments: Any) -> None:
        self.token = CancelToken()
        self._outcomes: list[ToolOutcome] = []
        context = ToolContext("call_7", tool.descriptor.name, "sess_1", "resp_1", self.token)
        text = json.dumps(arguments)
        self._thread = threading.Thread(
            target=lambda: self._outcomes.append(processes.run(tool, text, context)), name="tool worker"
        )
        self._thread.start()

    def outcome(self) -> ToolOutcome:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the call did not end"
        return self._outcomes[0]


@pytest.fixture
def processes() -> Iterator[ToolProcesses]:
    made = ToolProcesses()
    yield made
    pids = made.pids()
    made.close()
    assert [pid for pid in pids if not is_gone(pid)] == []


@pytest.fixture
def run(processes: ToolProcesses) -> Callable[..., ToolOutcome]:
    return lambda tool, **arguments: Call(processes, tool, **arguments).outcome()


def wait_for_pid(started: Path) -> int:
    eventually(started.exists, "the tool's start")
    return int(started.read_text())


# -- what a call brings


def test_a_call_runs_in_another_process_and_brings_its_result(run, killable):
    outcome = run(killable.double, n=21)
    assert (outcome.call_id, outcome.name, outcome.ok) == ("call_7", "double", True)
    assert (outcome.output, outcome.result) == ("42", 42)
    assert run(killable.own_pid).result != os.getpid()


def test_a_text_is_the_output_as_it_is_and_a_coroutine_is_awaited(run, killable):
    outcome = run(killable.later, text='say "hi"')
    assert (outcome.output, outcome.result) == ('say "hi"', 'say "hi"')


def test_the_tool_knows_its_call(run, killable):
    assert run(killable.knows_its_call).result == ["call_7", "knows_its_call", "sess_1", "resp_1"]


def test_what_the_tool_prints_is_no_part_of_the_answer(run, killable, capfd):
    assert run(killable.prints, text="noise").output == "noise"
    seen = capfd.readouterr()
    assert seen.err == "noise"


@pytest.mark.parametrize(
    ("name", "arguments", "code", "message"),
    [
        ("double", {"n": "x"}, "invalid_arguments", "Invalid arguments. `n`: Expected `int`, got `str`."),
        ("double", {}, "invalid_arguments", "Invalid arguments. `n`: missing, and required."),
        ("breaks", {}, "raised", "The tool failed."),
        ("explains", {}, "raised", "Try tomorrow."),
        (
            "returns_an_object",
            {},
            "unserialisable",
            "The tool returned a result that cannot be written as JSON.",
        ),
    ],
)
def test_a_failure_is_what_it_would_be_in_a_thread(run, killable, name, arguments, code, message):
    outcome = run(getattr(killable, name), **arguments)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.message) == (code, message)
    assert json.loads(outcome.output) == {"error": {"code": code, "message": message}}


def test_the_text_of_an_exception_is_kept_from_the_model(run, killable):
    outcome = run(killable.breaks)
    assert "secret" not in outcome.output
    assert outcome.error.detail == "ValueError: secret internals"


# -- death


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("segfaults", "its process was killed by SIGSEGV"),
        ("leaves", "its process exited with status 7"),
        ("exits", "its process exited with status 3"),
    ],
)
def test_a_process_that_dies_of_a_call_is_a_crash_that_says_how_and_the_next_call_has_another(
    processes, run, killable, name, how
):
    outcome = run(getattr(killable, name))
    assert (outcome.error.code, outcome.error.detail) == ("crashed", how)
    assert "SIG" not in outcome.output
    assert run(killable.double, n=1).result == 2
    assert len(processes.pids()) == 1


@pytest.mark.parametrize("name", ["sleeps_deaf", "backtracks", "sleeps_with_the_lock"])
@pytest.mark.parametrize(("reason", "code"), [("timeout", "timeout"), ("interrupted", "cancelled")])
def test_a_call_that_is_stuck_in_c_is_really_killed(processes, killable, tmp_path, name, reason, code):
    call = Call(processes, getattr(killable, name), started=str(tmp_path / "started"))
    pid = wait_for_pid(tmp_path / "started")
    assert processes.pids() == [pid]
    call.token.cancel(reason)
    outcome = call.outcome()
    assert (outcome.error.code, outcome.error.detail) == (code, reason)
    assert is_gone(pid), "it is waited for, so that there is no zombie"
    assert processes.pids() == []


def test_what_a_killed_tool_has_started_is_killed_with_it(processes, killable, tmp_path):
    call = Call(processes, killable.has_a_child, started=str(tmp_path / "started"))
    wait_for_pid(tmp_path / "started")
    child = int((tmp_path / "started.child").read_text())
    call.token.cancel()
    assert call.outcome().error.code == "cancelled"
    eventually(lambda: has_ended(child), "the end of what the tool started")


def test_a_process_that_somebody_kills_is_a_crash_that_names_the_signal(processes, killable, tmp_path):
    call = Call(processes, killable.sleeps_deaf, started=str(tmp_path / "started"))
    os.kill(wait_for_pid(tmp_path / "started"), signal.SIGKILL)
    outcome = call.outcome()
    assert (outcome.error.code, outcome.error.detail) == ("crashed", "its process was killed by SIGKILL")


def test_a_call_that_is_cancelled_before_it_starts_needs_no_process(processes, killable):
    token = CancelToken()
    token.cancel("barge_in")
    outcome = processes.run(killable.double, '{"n": 1}', ToolContext("c", "double", "s", "r", token))
    assert outcome.error.code == "cancelled"
    assert processes.pids() == []


def test_a_late_cancel_does_not_reach_the_next_call(processes, killable):
    first = Call(processes, killable.own_pid)
    pid = first.outcome().result
    first.token.cancel()
    assert Call(processes, killable.own_pid).outcome().result == pid


# -- how many there are


def test_one_process_is_kept_warm_and_used_again(processes, run, killable):
    assert len({run(killable.own_pid).result for _ in range(5)}) == 1
    assert len(processes.pids()) == 1


def test_calls_at_once_have_a_process_each_and_one_is_kept(processes, run, killable, tmp_path):
    stuck = [Call(processes, killable.sleeps_deaf, started=str(tmp_path / f"s{n}")) for n in range(3)]
    pids = {wait_for_pid(tmp_path / f"s{n}") for n in range(3)}
    assert len(pids) == 3
    for call in stuck:
        call.token.cancel()
        call.outcome()
    assert processes.pids() == []
    calls = [Call(processes, killable.own_pid) for _ in range(4)]
    assert all(call.outcome().ok for call in calls)
    assert len(processes.pids()) == 1


def test_a_warm_process_that_died_meanwhile_is_replaced(run, killable):
    pid = run(killable.own_pid).result
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: has_ended(pid), "its end")
    outcome = run(killable.own_pid)
    assert outcome.ok
    assert outcome.result != pid


def test_closing_kills_those_at_work_and_starts_no_more(processes, killable, tmp_path):
    call = Call(processes, killable.sleeps_deaf, started=str(tmp_path / "started"))
    pid = wait_for_pid(tmp_path / "started")
    processes.close()
    assert call.outcome().error.code == "crashed"
    assert is_gone(pid)
    late = Call(processes, killable.double, n=1).outcome()
    assert (late.error.code, processes.pids()) == ("crashed", [])


PARENT = """
import sys, threading
sys.path[:0] = sys.argv[1:2]
import killable_tools
from trunkline.actors.cancel_token import CancelToken
from trunkline.actors.tool_context import ToolContext
from trunkline.actors.tool_processes import ToolProcesses
processes = ToolProcesses()
context = ToolContext("c", "t", "s", "r", CancelToken())
if sys.argv[2] == "idle":
    processes.run(killable_tools.double, '{"n": 1}', context)
    print(*processes.pids(), flush=True)
    sys.stdin.read()
processes.run(getattr(killable_tools, sys.argv[2]), '{"started": "%s"}' % sys.argv[3], context)
"""


@pytest.mark.parametrize("state", ["idle", "backtracks", "sleeps_deaf"])
def test_a_process_ends_with_its_parent_even_if_that_is_killed(killable, tmp_path, state):
    started = tmp_path / "started"
    here = os.path.dirname(killable.__file__)
    command = [sys.executable, "-c", PARENT, here, state, str(started)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    parent = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline()) if state == "idle" else wait_for_pid(started)
        assert not has_ended(pid)
    finally:
        parent.kill()
        parent.communicate(timeout=PATIENCE_S)
    eventually(lambda: has_ended(pid), "the child's end")


# -- definitions


def test_a_function_that_no_process_can_import_is_refused_when_it_is_decorated():
    with pytest.raises(ToolDefinitionError, match="at the top level of a module"):

        @tool(isolation="process")
        def inner() -> None:
            """Do nothing."""

    with pytest.raises(ToolDefinitionError, match="at the top level of a module"):
        tool(isolation="process")("text".upper)
    with pytest.raises(ToolDefinitionError, match='use "thread" or "process"'):
        tool(isolation="fiber")(os.getcwd)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Import a module made of this text; in a child it may be another one."""

    def make(here: str, there: str | None = None) -> Any:
        name = f"made_{time.monotonic_ns()}"
        path = tmp_path / f"{name}.py"
        path.write_text(here)
        monkeypatch.syspath_prepend(str(tmp_path))
        made = __import__(name)
        path.write_text(here if there is None else there)
        return made

    return make


FINE = '''
from trunkline import tool

@tool(isolation="process")
def fine() -> str:
    """Be fine."""
    return "fine"
'''


@pytest.mark.parametrize(
    ("there", "says"),
    [
        ("import no_such_module", "ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError"),
        ("", "has no attribute 'fine'"),
        ("import os; os._exit(9)", "exited with status 9"),
        ("raise SystemExit('no')", "SystemExit"),
    ],
    ids=["import", "raises", "not there", "dies", "exits"],
)
def test_a_broker_does_not_start_with_a_tool_that_its_process_cannot_import(module, there, says):
    made = module(FINE, there)
    config = Config(tools=[made.fine])
    with pytest.raises(ToolDefinitionError, match=says):
        Broker.start("m", gateway=OpenAIGateway(api_key="k"), config=config)


def test_a_broker_has_its_processes_warm_when_it_starts_and_none_when_it_has_stopped(module, monkeypatch):
    started: list[ToolProcesses] = []
    made = module(FINE)
    prepare = ToolProcesses.prepare
    monkeypatch.setattr(
        ToolProcesses, "prepare", lambda self, tools: (started.append(self), prepare(self, tools))[1]
    )
    with Broker.start("m", gateway=OpenAIGateway(api_key="k"), config=Config(tools=[made.fine])):
        (pid,) = started[0].pids()
        assert not has_ended(pid)
    assert is_gone(pid)


GUARDED = (
    FINE
    + """
from trunkline.actors.cancel_token import CancelToken
from trunkline.actors.tool_context import ToolContext
from trunkline.actors.tool_processes import ToolProcesses

def main():
    processes = ToolProcesses()
    try:
        processes.prepare([fine])
        print(processes.run(fine, "{}", ToolContext("c", "fine", "s", "r", CancelToken())).output)
    finally:
        processes.close()

"""
)


@pytest.mark.parametrize("how", ["file", "module"])
def test_a_tool_may_be_defined_in_the_program_itself(tmp_path, how):
    path = tmp_path / "program.py"
    path.write_text(GUARDED + 'if __name__ == "__main__":\n    main()\n')
    done = run_program([str(path)] if how == "file" else ["-m", "program"], tmp_path)
    assert done.stdout == "fine\n", done.stderr


def test_a_program_without_a_guard_is_told_of_it(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(GUARDED + "main()\n")
    done = run_program([str(path)], tmp_path)
    assert done.returncode == 1
    assert 'put what it does under `if __name__ == "__main__":`' in done.stderr


def test_a_program_that_is_no_file_is_told_of_it(tmp_path):
    code = FINE + "from trunkline.actors.tool_processes import ToolProcesses\nToolProcesses().prepare([fine])"
    done = run_program(["-c", code], tmp_path)
    assert done.returncode == 1
    assert "define it in a module" in done.stderr


def run_program(arguments: list[str], where: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=where,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
