"""A realtime server over real WebSockets, for runs without a key and for tests.

Needs the extra: `pip install 'trunkline[simulator]'`.

    from websockets.sync.client import connect
    from trunkline.gateway.simulator import Simulator

    with Simulator() as simulator, connect(f"{simulator.url}?model=gpt-realtime-2") as client:
        print(client.recv())  # session.created
"""

try:
    import websockets as _websockets

    del _websockets
except ImportError as _error:
    raise ImportError(
        "the simulator needs the package 'websockets': pip install 'trunkline[simulator]'"
    ) from _error

from .brains import Brain, FunctionBrain
from .conversation import Conversation
from .gate import Gate
from .rule_brain import RuleBrain
from .server import Simulator
from .steps import CallTool, Fail, Hold, Incomplete, Pause, Say, Speak, Step
from .wire_log import Closed, Handshake, WireEvent, WireLog

__all__ = [
    "Brain",
    "CallTool",
    "Closed",
    "Conversation",
    "Fail",
    "FunctionBrain",
    "Gate",
    "Handshake",
    "Hold",
    "Incomplete",
    "Pause",
    "RuleBrain",
    "Say",
    "Simulator",
    "Speak",
    "Step",
    "WireEvent",
    "WireLog",
]
