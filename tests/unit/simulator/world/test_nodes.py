from __future__ import annotations

from pathlib import Path

import pytest

from simulator.world.nodes import alike, read_nodes
from simulator.world.traces import TraceError

GIB = 2**30
LIST = "sn,cpu_milli,memory_mib,gpu,model\nn1,64000,262144,2,P100\nn2,1,1,0,\nn3,1,1,8,A100\n"


@pytest.fixture
def nodes(tmp_path: Path) -> Path:
    file = tmp_path / "nodes.csv"
    file.write_text(LIST)
    return file


def test_alike_hosts_have_one_gpu_each() -> None:
    made = alike(3, 44 * GIB)
    assert [node.gpus for node in made] == [("n0000-gpu0",), ("n0001-gpu0",), ("n0002-gpu0",)]
    assert {node.vram_bytes for node in made} == {44 * GIB}


def test_a_node_list_gives_the_first_gpus_with_their_cards_memory(nodes: Path) -> None:
    made = read_nodes(nodes, 5, 1)
    assert [(node.id, len(node.gpus), node.vram_bytes // GIB) for node in made] == [
        ("n1", 2, 16),
        ("n3", 3, 80),
    ]


def test_a_card_that_nobody_knows_has_the_memory_given(tmp_path: Path) -> None:
    file = tmp_path / "nodes.csv"
    file.write_text("sn,gpu,model\nx,1,Z9\n")
    assert read_nodes(file, 1, 7 * GIB)[0].vram_bytes == 7 * GIB


def test_a_list_with_too_few_gpus_is_refused(nodes: Path) -> None:
    with pytest.raises(TraceError, match="has 10 GPUs; 11 were asked for"):
        read_nodes(nodes, 11, GIB)


def test_a_file_of_other_columns_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "nodes.csv"
    file.write_text("name,count\nx,1\n")
    with pytest.raises(TraceError, match="columns sn, gpu and model"):
        read_nodes(file, 1, GIB)
