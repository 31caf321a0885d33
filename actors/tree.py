"""The supervision tree of a broker, and its front door. Owns no thread itself: its actors do.

    Supervisor "trunkline"            one_for_one; one per Broker.start()
     ├─ WorkerSupervisor    dynamic   ToolWorker and ConnectWorker, temporary
     ├─ SessionSupervisor   dynamic   SessionActor, transient, restart budget per child
     └─ BrokerActor                   permanent

Source: DESIGN section 2.
"""

from __future__ import annotations

import logging
from typing import Any

from ..gateway.config import Config
from ..gateway.errors import ConfigError
from ..gateway.open_files import OpenFileLimit, raise_open_file_limit
from ..gateway.openai import OpenAIGateway
from ..gateway.provider import Gateway
from ..supervision import (
    NORMAL,
    ChildSpec,
    DynamicSupervisor,
    ExitReason,
    Sibling,
    StableRef,
    Supervisor,
    WhichChild,
    call,
    is_clean,
)
from .broker import BrokerActor, BrokerRecipe
from .broker_proxy import BrokerProxy
from .directory import Directory
from .events import SessionClosed
from .session_log import SessionLogs
from .tool_box import runnable_tools
from .tool_runner import ParallelToolRunner, ToolRunner

START_TIMEOUT_S = 10.0
FILES_PER_SESSION = 2
"""A socket, and what wakes the session's thread."""
FILES_FOR_OTHERS = 64
"""What is left to the rest of the process when it is said how many sessions there can be."""
MANY_SESSIONS = 1000

_log = logging.getLogger("trunkline.actors")


class Trunkline(Supervisor):
    """The root: when it ends, for whatever reason, no subscriber is left waiting."""

    def __init__(self, *args: Any, directory: Directory, **options: Any) -> None:
        super().__init__(*args, **options)
        self._directory = directory

    def _wind_down(self, reason: ExitReason) -> None:
        """End the children, and then the sessions that nobody could end. After a failure the sessions hear of that."""
        if reason is not NORMAL:  # only stop() ends a root normally
            self._directory.close_all(_failed(reason))
        super()._wind_down(reason)
        self._directory.close_all(SessionClosed("client"))
        self._directory.processes.close()


class WorkerSupervisor(DynamicSupervisor):
    """Supervises ToolWorkers and ConnectWorkers."""


class SessionSupervisor(DynamicSupervisor):
    """Supervises SessionActors; a session over its restart budget is given up alone."""

    def __init__(self, *, directory: Directory, **options: Any) -> None:
        super().__init__(**options)
        self._directory = directory

    def _wind_down(self, reason: ExitReason) -> None:
        """Its end is its sessions': when it failed they did not end because anybody wanted it."""
        if not is_clean(reason):
            self._directory.close_all(_failed(reason))
        super()._wind_down(reason)


def _failed(reason: ExitReason) -> SessionClosed:
    return SessionClosed("error", "supervisor_failed", f"the session's supervisor failed: {reason!r:.200}")


class Broker:
    """The front door: ``Broker.start(...)`` builds a supervision tree and returns the proxy of its broker."""

    @staticmethod
    def start(
        model: str,
        *,
        gateway: Gateway | None = None,
        config: Config | None = None,
        tool_runner: ToolRunner | None = None,
        session_log: SessionLogs | None = None,
    ) -> BrokerProxy:
        """Start a broker. It raises the process's limit of open files as far as the system allows, and logs what that is.

        Args:
            model: the provider's name of the model, such as ``"gpt-realtime-2"``.
            gateway: the provider; :class:`OpenAIGateway` with the key of ``OPENAI_API_KEY`` by default.
            config: what a session is configured with; ``connect`` may override it.
            tool_runner: how many tool calls of a session run at once; four by default.
            session_log: where the logs of sessions are kept: in memory by default; with a :class:`SqliteSessionLog` they
                outlive the process, and ``resume`` goes on from them. It is the caller's to close, after ``stop``.

        Returns:
            The broker's proxy; ``with`` it, or call its ``stop()``.

        Raises:
            ConfigError: no model, or an argument that is not what it should be. The caller's fault, as is
            ToolDefinitionError: a tool that cannot be run.
        """
        if not isinstance(model, str) or not model.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError("model", model, "the provider's name of a model, such as 'gpt-realtime-2'")
        _check_parts(gateway, config, tool_runner, session_log)
        config = Config() if config is None else config
        tools = runnable_tools(config.tools, approves=config.approve_tool is not None)
        recipe = BrokerRecipe(model, gateway or OpenAIGateway(), config, tool_runner or ParallelToolRunner())
        directory = Directory(session_log)
        open_files = raise_open_file_limit()
        _report(open_files)
        try:
            directory.processes.prepare(tools.values())
            root = Trunkline.start(_children(recipe, directory), directory=directory, name="trunkline")
        except BaseException:
            directory.processes.close()
            raise
        broker: StableRef[Any] = call(root, WhichChild("broker"), START_TIMEOUT_S).stable_ref
        return BrokerProxy(broker, root, directory, open_files)


def _report(open_files: OpenFileLimit | None) -> None:
    """Say how many sessions there can be, before they are too many."""
    if open_files is None or open_files.soft is None:
        return
    sessions = max(0, open_files.soft - FILES_FOR_OTHERS) // FILES_PER_SESSION
    _log.info("open files: at most %d, enough for about %d sessions", open_files.soft, sessions)
    if sessions < MANY_SESSIONS:
        _log.warning(
            "the system allows %d open files: raise `ulimit -Hn` for more than %d sessions",
            open_files.soft,
            sessions,
        )


def _check_parts(gateway: object, config: object, tool_runner: object, session_log: object) -> None:
    """Refuse what has been mixed up here, where the caller sees it, and not in an actor later."""
    if config is not None and not isinstance(config, Config):
        raise ConfigError("config", config, "Config(...)")
    for name, part, methods, allowed in (
        ("gateway", gateway, ("connect", "encode", "decode"), "a gateway, such as OpenAIGateway(...)"),
        ("tool_runner", tool_runner, ("admit",), "a tool runner, such as SerialToolRunner()"),
        ("session_log", session_log, ("open", "sessions"), "where logs are kept: SqliteSessionLog(path)"),
    ):
        is_one = all(_has(part, method) for method in methods)
        if part is not None and (isinstance(part, type) or not is_one):
            raise ConfigError(name, part, allowed)


def _has(part: object, method: str) -> bool:
    try:
        return callable(getattr(part, method, None))
    except Exception:  # noqa: BLE001  # a property of somebody else's, whose bug is found where it is used
        return True


def _children(recipe: BrokerRecipe, directory: Directory) -> list[ChildSpec]:
    """Describe the root's children, in start order."""
    return [
        ChildSpec("workers", WorkerSupervisor),
        ChildSpec("sessions", SessionSupervisor, kwargs={"budget": "child", "directory": directory}),
        ChildSpec("broker", BrokerActor, (recipe, directory, Sibling("sessions"), Sibling("workers"))),
    ]
