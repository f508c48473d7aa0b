"""Mirrors by name, one file each; `wealtharena.tracking.mirror` is their contract."""
