"""An agent's heartbeat as one script call."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.ledger import Report
from scheduler.ledger_values import Reported
from scheduler.redis_codec import encode_models
from scheduler.redis_connection import Arg
from scheduler.redis_keys import Keys
from scheduler.redis_vitals import encode_vitals
from scheduler.states import Gpu, Worker

#: The ``fleet:<agent>`` hash: what the ledger knows the agent to have.
Fleet = dict[bytes, bytes]
#: Arguments of a worker that the agent no longer names: state … loaded.
_GONE_WORKER: tuple[Arg, ...] = ("", 0, "", 0, "", 0, "", "", "")
#: Arguments of a GPU that the agent no longer names: index … vitals.
_GONE_GPU: tuple[Arg, ...] = (0, "", 0, 0, 0, "", "", "")


def report_call(keys: Keys, report: Report, fleet: Fleet) -> tuple[list[str], list[Arg]]:
    """KEYS and ARGV of ``report.lua``, given what the caller believes the fleet to be."""
    agent = report.agent
    workers = {worker.id: worker for worker in report.workers}
    gpus = {gpu.id: gpu for gpu in report.gpus}
    homes = _homes(fleet)
    worker_ids = [*workers, *(id_ for id_ in homes if id_ not in workers)]
    gpu_ids = [*gpus, *(id_ for id_ in _known_gpus(fleet) if id_ not in gpus)]
    names = [
        keys.events,
        keys.agents,
        keys.workers,
        keys.gpus,
        keys("agent", agent.id),
        keys("fleet", agent.id),
        keys("inbox", agent.id),
        keys.leader,
    ]
    rev = fleet.get(b"rev", b"0")
    args: list[Arg] = [agent.id, agent.url, agent.version, rev, len(worker_ids), len(gpu_ids)]
    args += [agent.host_total_bytes, agent.host_available_bytes, agent.boot, agent.protocol]
    for worker_id in worker_ids:
        worker = workers.get(worker_id)
        new_home = worker.gpu if worker else ""
        old_home = homes.get(worker_id, new_home)
        names += [keys("worker", worker_id), keys("holds", old_home), keys("holds", new_home)]
        args += [worker_id, int(worker is not None), old_home, new_home, *_worker_args(worker)]
    for gpu_id in gpu_ids:
        gpu = gpus.get(gpu_id)
        names += [keys("gpu", gpu_id), keys("holds", gpu_id)]
        args += [gpu_id, int(gpu is not None), *_gpu_args(gpu)]
    return names, args


def read_reply(reply: Sequence[bytes]) -> Reported:
    """What ``report.lua`` answered, MOVED apart."""
    if reply[0] == b"REPLACED":
        return Reported(replaced=True)
    texts = [part.decode() for part in reply[1:]]
    return Reported(
        protocol=int(texts[0] or 0), rivals=dict(zip(texts[1::2], texts[2::2], strict=True))
    )


def is_settled(fleet: Fleet, report: Report) -> bool:
    """Whether the report named just what the fleet has, so that the fleet stays as it is."""
    return _homes(fleet) == {worker.id: worker.gpu for worker in report.workers} and set(
        _known_gpus(fleet)
    ) == {gpu.id for gpu in report.gpus}


def _worker_args(worker: Worker | None) -> Sequence[Arg]:
    if worker is None:
        return _GONE_WORKER
    models = encode_models(worker.models)
    return (
        worker.state.value,
        worker.used_bytes,
        models,
        int(worker.has_probe),
        worker.limit.value,
        worker.host_used_bytes,
        worker.catalogue,
        worker.detail,
        worker.loaded,
    )


def _gpu_args(gpu: Gpu | None) -> Sequence[Arg]:
    if gpu is None:
        return _GONE_GPU
    return (
        gpu.index,
        gpu.name,
        gpu.total_bytes,
        gpu.used_bytes,
        gpu.foreign_bytes,
        gpu.state.value,
        gpu.memory_source.value,
        encode_vitals(gpu.vitals),
    )


def _homes(fleet: Fleet) -> dict[str, str]:
    """Worker → the GPU whose holds carry it."""
    return {
        field[2:].decode(): gpu.decode() for field, gpu in fleet.items() if field.startswith(b"w:")
    }


def _known_gpus(fleet: Fleet) -> list[str]:
    return [field[2:].decode() for field in fleet if field.startswith(b"g:")]
