"""A Ray cluster of two nodes on this machine."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def connected(*, ships: bool = False) -> Iterator[tuple[Any, Any]]:
    """Connect this process, on the head, to `two_nodes`, so that it can see who runs where; all of it ends with the block.

    With `ships` both nodes have unpacked what a run ships before one begins. Ray unpacks it once a node, and where two are
    on one machine the later one replaces the folder in which the workers of the other are at work.
    """
    warnings.simplefilter("ignore")  # ray's own, in its own start-up
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from wealtharena.agents import cluster

    two, second = two_nodes()
    try:
        code = cluster.shipped() if ships else {}
        ray.init(address=two.address, runtime_env=code, log_to_driver=False, logging_level=logging.ERROR)
        for node in (two.head_node, second) if ships else ():
            there = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
            ray.get(ray.remote(lambda: None).options(scheduling_strategy=there).remote(), timeout=120)
        yield two, second
    finally:
        ray.shutdown()
        two.shutdown()


def two_nodes() -> tuple[Any, Any]:
    """Return a cluster of two nodes, one processor each, and the second of them.

    Ray gives a node 30 seconds to start, which a busy machine may not keep.
    """
    from ray.cluster_utils import Cluster

    from wealtharena.agents.cluster import unwatched

    for attempt in range(3):
        two = Cluster()
        try:
            with unwatched():
                two.add_node(num_cpus=1, object_store_memory=80 * 2**20, no_monitor=True)  # nobody asks how it fares
            return two, two.add_node(num_cpus=1, object_store_memory=80 * 2**20)
        except Exception as error:
            two.shutdown()
            if "timed out" not in str(error) or attempt == 2:
                raise
    raise AssertionError("unreachable")
