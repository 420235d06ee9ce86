from __future__ import annotations

import os

from bench.probe import VARIANTS, processor_s, small, summary, table


def test_no_two_prompts_of_200_nodes_share_a_node_that_a_cache_could_have() -> None:
    one, other = small(1), small(2)
    assert len(one) == len(other) == 200
    seeds = [
        node["inputs"]["seed"]
        for node in (*one.values(), *other.values())
        if "seed" in node["inputs"]
    ]
    assert len(seeds) == len(set(seeds)) == 200


def test_a_process_has_taken_time() -> None:
    sum(range(10**6))
    assert processor_s(os.getpid()) > 0


def test_the_table_tells_what_each_variant_adds_to_a_node() -> None:
    off = summary([0.2, 0.4, 0.2], [0.2, 0.4, 0.2])
    more = summary([0.201, 0.4, 0.201], [0.2, 0.4, 0.2])
    alone = {
        "device": "cpu",
        "python": "3.11",
        "bare_us": 1,
        "off_us": 2,
        "hooks_us": 9,
        "memory_us": 18,
    }
    values = dict.fromkeys(VARIANTS, more) | {"off": off}
    text = table({"isolated": alone, "nodes": {"rounds": 3, "wall_s": values}, "errors": 0})
    assert "hooks 9" in text
    assert "+0.50%, +5.0 µs a node, +0.50%" in text
