"""The provider side of a realtime session: wire events, codec, config, transport. Knows no actor."""
