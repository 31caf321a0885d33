"""A realtime server over real WebSockets, for runs without a key and for tests."""
