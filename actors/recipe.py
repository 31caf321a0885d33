"""What a session needs to start: a recipe, and how its pure parts are put together. Owns nothing that lives."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from ..gateway.config import Config
from ..gateway.provider import Gateway
from .conversation import Conversation
from .ledger import Ledger
from .memory import Memory
from .reply_gate import ReplyGate
from .session_core import SessionCore
from .tool import Tool, tool_terms
from .tool_batches import Policy, ToolBatches
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


def new_id(prefix: str) -> str:
    """Return an id that no other process makes."""
    return f"{prefix}_{uuid.uuid4().hex[:24]}"


def build_core(
    recipe: SessionRecipe, memory: Memory, restarts: int, new_id: Callable[[str], str] = new_id
) -> SessionCore:
    """Put a session's pure parts together."""
    config = recipe.config
    gate = ReplyGate(new_id, config.response_timeout_s, vad_replies=config.vad_creates_response)
    gate.restore(memory.open_asks, memory.carried)
    terms = {name: tool_terms(tool, config) for name, tool in recipe.tools.items()}
    batches = ToolBatches(
        recipe.runner,
        new_id,
        terms,
        cast(Policy, config.on_interrupt),
        settle_dropped=config.settle_dropped_calls,
    )
    conversation = Conversation(config, new_id, gate, batches, Ledger(memory.history, memory.usage))
    return SessionCore(
        recipe.session_id, config, conversation, recipe.gateway, new_id, memory=memory, restarts=restarts
    )
