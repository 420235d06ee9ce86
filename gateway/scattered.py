"""Prompts that every worker lacks something for, though each thing is somewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from gateway.admission_door import Refusal
from gateway.context import Services
from scheduler.catalogue import Catalogue, missing
from scheduler.states import Worker

#: things that an answer names
_NAMED: Final = 3


async def refuse_scattered(found: Services, requires: str) -> Refusal | None:
    """Why the prompt could never run here; None: a worker has all of it, or nobody can say.

    Args:
        found: the gateway's services.
        requires: what the prompt names (``scheduler.catalogue.requires``).

    Raises:
        LedgerUnavailable: a worker's catalogue cannot be read.
    """
    workers = list(found.agents.pool.workers.values())
    known = await found.ledger.catalogues(worker.catalogue for worker in workers)
    return judge(workers, known, requires)


def judge(
    workers: Iterable[Worker], known: Mapping[str, Catalogue], requires: str
) -> Refusal | None:
    """As ``refuse_scattered``, of these workers and catalogues. Pure."""
    lacking: dict[str, tuple[str, ...]] = {}
    for worker in workers:
        catalogue = known.get(worker.catalogue)
        lacking[worker.id] = () if catalogue is None else missing(catalogue, requires)
        if not lacking[worker.id]:
            return None
    if not lacking or set.intersection(*map(set, lacking.values())):
        # nobody has it: a file so new that its worker has not been asked again, or one just gone
        return None
    tokens = sorted({token for tokens in lacking.values() for token in tokens})
    lines = []
    for token in tokens[:_NAMED]:
        name = next((n for c in known.values() if (n := c.name_of(token)) is not None), "")
        having = sorted(worker for worker, without in lacking.items() if token not in without)
        lines.append(f"{name} is only on {', '.join(having)}")
    return Refusal(
        400,
        "no_worker_has_all",
        "No single worker has all the models and nodes that this prompt names",
        "; ".join(lines) + ". Use fewer of them in one prompt, or ask the admin to add them.",
        {"missing": len(tokens)},
    )
