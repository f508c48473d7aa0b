"""Experiments behind the defaults: each by the protocol that docs/experiments.md had before it ran."""
