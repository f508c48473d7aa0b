"""Feeds: where the bars of an account come from."""
