"""The simulator's door: a realtime server over real WebSockets, for runs without a key and for tests. Owns nothing itself.

Needs the extra ``trunkline[simulator]``.
"""

from .gateway.simulator import *  # noqa: F403
