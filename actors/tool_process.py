"""One child process that runs the calls of one tool, as its parent sees it. Owns a process, and a socket to it.

It is used by one thread at a time; ``kill`` is for any thread, at any time.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from typing import Any

import msgspec

from .tool import FunctionTool
from .tool_errors import ToolDefinitionError
from .tool_wire import CallAnswer, CallBegan, Frames, RunCall, ToolOrigin, ToolReady

READY_TIMEOUT_S = 30.0  # a module may import a lot
EXIT_GRACE_S = 1.0  # between the end of a child's socket and its own

inside_a_child = False
"""Whether this process is a tool's: what its program starts there, it would start for ever."""

_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from trunkline.actors.tool_child import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)


class ToolProcessEnded(Exception):
    """The child is gone: killed, crashed or gone by itself.

    Attributes:
        how: a sentence with the signal's name or the exit status.
        begun: whether it may have begun with the call.
    """

    def __init__(self, how: str, *, begun: bool = True) -> None:
        super().__init__(how)
        self.how = how
        self.begun = begun


def origin_of(tool: FunctionTool[..., Any]) -> ToolOrigin:
    """Return where a child process finds a tool.

    Raises:
        ToolDefinitionError: nowhere. The programmer's fault.
    """
    function = tool.function
    module, qualname = function.__module__, function.__qualname__
    if module != "__main__":
        return ToolOrigin(module, qualname)
    program = sys.modules["__main__"]
    spec = getattr(program, "__spec__", None)
    if spec is not None:  # python -m
        return ToolOrigin(spec.name, qualname)
    path = getattr(program, "__file__", None)
    if path is None:
        problem = "is defined in a program that is no file, which a process cannot import"
        raise ToolDefinitionError(qualname, None, problem, "define it in a module")
    return ToolOrigin(module, qualname, os.path.abspath(path))


class ToolProcess:
    """A child that is started at once and used when it is ready.

    Args:
        origin: where it finds its tool.

    Raises:
        OSError: the system has no process to give.
        ToolDefinitionError: this process is such a child itself: its program has no ``__main__`` guard.
    """

    def __init__(self, origin: ToolOrigin) -> None:
        if inside_a_child:
            problem = "is in a program that starts its broker when it is imported"
            advice = 'put what it does under `if __name__ == "__main__":`'
            raise ToolDefinitionError(origin.qualname, None, problem, advice)
        self.origin = origin
        ours, theirs = socket.socketpair()
        life, self._life = os.pipe()
        self._sock = ours
        self._frames = Frames(ours)
        try:
            self._popen = _spawn(theirs.fileno(), life)
        except BaseException:
            ours.close()
            os.close(self._life)
            raise
        finally:
            theirs.close()
            os.close(life)
        self._is_ready = False

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._popen.pid

    def get_ready(self) -> None:
        """Wait until the child has imported the tool, if it has not.

        Raises:
            ToolDefinitionError: it cannot. The programmer's fault.
            ToolProcessEnded: it died of it, or was killed.
        """
        if self._is_ready:
            return
        try:
            self._frames.send(self.origin)
            refusal = self._frames.receive(ToolReady, READY_TIMEOUT_S).refusal
        except TimeoutError:
            refusal = f"it was not imported within {READY_TIMEOUT_S} s"
        except (EOFError, OSError) as error:
            raise ToolProcessEnded(self._end()) from error
        if refusal is not None:
            problem = f"cannot be imported by the process that is to run it ({refusal})"
            advice = "define it at the top level of a module that can be imported anywhere"
            raise ToolDefinitionError(f"{self.origin.module}.{self.origin.qualname}", None, problem, advice)
        self._is_ready = True

    def run(self, call: RunCall) -> CallAnswer:
        """Have a call run, and wait for its end.

        Raises:
            ToolProcessEnded: the child died of it, or was killed.
        """
        begun = False
        try:
            self._frames.send(call)
            self._frames.receive(CallBegan)
            begun = True
            return self._frames.receive(CallAnswer)
        except (EOFError, OSError) as error:
            raise ToolProcessEnded(self._end(), begun=begun) from error
        except msgspec.MsgspecError as error:
            raise ToolProcessEnded("its process wrote nonsense") from error

    def kill(self) -> None:
        """End the child and what it started with SIGKILL; from any thread. Whoever waits for its answer hears of it."""
        # A pid is free again when it was waited for, a moment before returncode is set: not long enough to be given anew.
        if self._popen.returncode is None:
            try:
                os.killpg(self._popen.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended by itself

    def close(self) -> None:
        """Kill the child, wait for its end and let everything go; for its user's thread."""
        self.kill()
        self._end()
        self._sock.close()
        if self._life >= 0:
            os.close(self._life)
            self._life = -1

    def _end(self) -> str:
        """Wait for the child's end, so that no zombie is left. Returns how it ended."""
        try:
            status = self._popen.wait(EXIT_GRACE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            status = self._popen.wait()
        if status >= 0:
            return f"its process exited with status {status}"
        return f"its process was killed by {signal.Signals(-status).name}"


def _spawn(socket_fd: int, life_fd: int) -> subprocess.Popen[bytes]:
    paths = [path or os.getcwd() for path in sys.path]
    command = [sys.executable, "-c", _PROGRAM, json.dumps(paths), str(socket_fd), str(life_fd)]
    # A session of its own: a Ctrl-C at the terminal is its parent's business, and what it starts is killed with it.
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, pass_fds=(socket_fd, life_fd), start_new_session=True
    )
