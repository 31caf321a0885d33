"""Trunkline: realtime AI sessions as supervised actors."""
