"""Typed specs, one file a room."""
