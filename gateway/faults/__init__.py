"""Faults as values, and the places that act on them: a transport, a proxy, the simulator. Owns nothing itself."""
