"""The simulator's door: a realtime server over real WebSockets, for runs without a key and for tests. Owns nothing itself.

Needs the extra ``trunkline[simulator]``. It is a program too: ``python -m trunkline.simulator --help``.
"""

from .gateway.simulator import *  # noqa: F403

if __name__ == "__main__":
    import sys

    from .gateway.simulator.command_line import main

    sys.exit(main())
