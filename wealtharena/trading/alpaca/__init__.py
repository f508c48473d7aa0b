"""Alpaca's trading interface: requests, words, windows and its stream."""
