"""Nodes of running jobs get the classes that their prompts give them."""

from __future__ import annotations

from typing import Any

from dashboard.node_names import NodeNames
from scheduler.live import Standing

#: as the gateway stores it
PROMPT = (
    b'{"prompt": {"3": {"class_type": "KSampler", "inputs": {"text": "a secret"}},'
    b' "8": {"class_type": "X"}}, "extra_data": {"client_id": "c"}, "outputs": ["8"]}'
)


async def test_a_node_has_its_class_and_its_job_the_number_of_nodes(floor: Any) -> None:
    job = await floor.submit(prompt=PROMPT)
    names = NodeNames(floor.ledger)
    told = await names.named({job.id: Standing(node="3"), "gone": Standing(node="1")})
    assert (told[job.id].class_type, told[job.id].nodes) == ("KSampler", 2)
    assert told["gone"] == Standing(node="1")
    assert "secret" not in repr(vars(names))


async def test_a_node_made_while_it_ran_is_called_as_its_maker(floor: Any) -> None:
    job = await floor.submit(prompt=PROMPT)
    told = await NodeNames(floor.ledger).named({job.id: Standing(node="3.0.7")})
    assert told[job.id].class_type == "KSampler"


async def test_a_prompt_that_is_no_graph_names_nothing(floor: Any) -> None:
    job = await floor.submit(prompt=b'{"prompt": {"3": "?"}}')
    told = await NodeNames(floor.ledger).named({job.id: Standing(node="3")})
    assert told[job.id] == Standing(node="3")
