"""Policy and value networks, and their decision as one traceable module."""

from wealtharena.agents.networks.network import Network, build_network

__all__ = ["Network", "build_network"]
