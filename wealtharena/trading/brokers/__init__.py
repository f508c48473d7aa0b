"""Brokers, one file each, found by the name of their YAML in conf/broker."""
