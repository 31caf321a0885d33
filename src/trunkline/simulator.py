"""The simulator's door: a realtime server over real WebSockets, for runs without a key and for tests. Owns nothing itself.

Needs the extra ``trunkline[simulator]``. It is a program too: ``python -m trunkline.simulator --help``.
"""

import sys

try:
    from .gateway.simulator import *  # noqa: F403
except ImportError as error:
    if __name__ != "__main__":
        raise
    sys.stderr.write(f"python -m trunkline.simulator: error: {error}\n")
    sys.exit(2)

if __name__ == "__main__":
    from .gateway.simulator.command_line import main

    sys.exit(main())
