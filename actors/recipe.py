"""What a session needs to start: a recipe, and how its pure parts are put together. Owns nothing that lives."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from ..gateway.config import Config
from ..gateway.provider import Gateway
from .config_updates import remembered
from .conversation import Conversation
from .ledger import Ledger
from .memory import Memory
from .reply_gate import ReplyGate
from .session_core import SessionCore
from .side_responses import SideResponses, is_side
from .tool import Tool
from .tool_batches import Policy, ToolBatches
from .tool_box import ToolBox
from .tool_runner import ToolRunner


@dataclass(frozen=True, slots=True)
class SessionRecipe:
    """Everything a session needs to start, and nothing that lives: no socket, no actor."""

    session_id: str
    model: str
    gateway: Gateway
    config: Config
    tools: Mapping[str, Tool]
    runner: ToolRunner

    @property
    def calls_tools(self) -> bool:
        """Whether the model may call anything, ours or a remote MCP server's."""
        return bool(self.tools or self.config.mcp_servers)


def new_id(prefix: str) -> str:
    """Return an id that no other process makes."""
    return f"{prefix}_{uuid.uuid4().hex[:24]}"


def build_core(
    recipe: SessionRecipe,
    memory: Memory,
    restarts: int,
    new_id: Callable[[str], str] = new_id,
    *,
    epoch_s: float = 0.0,
) -> SessionCore:
    """Put a session's pure parts together. ``epoch_s``: what to add to the session's clock to get Unix time."""
    config = remembered(recipe.config, memory.instructions, memory.settings)
    aside = {ask_id: params for ask_id, params in memory.params.items() if is_side(params)}
    side = SideResponses(new_id, config.response_timeout_s)
    side.restore(aside)
    gate = ReplyGate(new_id, config.response_timeout_s, vad_replies=config.vad_creates_response)
    in_line = (ask_id for ask_id in memory.open_asks if ask_id not in aside)
    gate.restore(in_line, memory.carried, memory.params)
    toolbox = ToolBox(recipe.config, recipe.tools)
    takes_calls = bool(getattr(recipe.gateway, "takes_calls", True))
    batches = ToolBatches(
        recipe.runner,
        new_id,
        toolbox.terms,
        cast(Policy, config.on_interrupt),
        settle_dropped=config.settle_dropped_calls,
        takes_calls=takes_calls,
    )
    ledger = Ledger(memory.history, memory.usage)
    conversation = Conversation(config, new_id, gate, batches, ledger, side, takes_calls=takes_calls)
    return SessionCore(
        recipe.session_id,
        config,
        conversation,
        recipe.gateway,
        new_id,
        toolbox,
        memory=memory,
        restarts=restarts,
        epoch_s=epoch_s,
    )
