"""A Ray cluster of two nodes on this machine."""

from __future__ import annotations

from typing import Any


def two_nodes() -> tuple[Any, Any]:
    """Return a cluster of two nodes, one processor each, and the second of them.

    Ray gives a node 30 seconds to start, which a busy machine may not keep.
    """
    from ray.cluster_utils import Cluster

    for attempt in range(3):
        two = Cluster()
        try:
            two.add_node(num_cpus=1, object_store_memory=80 * 2**20)
            return two, two.add_node(num_cpus=1, object_store_memory=80 * 2**20)
        except Exception as error:
            two.shutdown()
            if "timed out" not in str(error) or attempt == 2:
                raise
    raise AssertionError("unreachable")
