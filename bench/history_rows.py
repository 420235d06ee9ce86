"""A season of a studio as rows of the store: jobs, their nodes, samples. From a seed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final

HOUR_MS: Final = 3_600_000
GIB: Final = 2**30
Row = dict[str, Any]
_CLASSES: Final = (
    "CheckpointLoaderSimple", "CLIPTextEncode", "CLIPTextEncode", "EmptyLatentImage", "KSampler",
    "VAEDecode", "SaveImage", "LoraLoader", "ControlNetApply", "ImageScale", "KSamplerAdvanced",
    "VAEEncode", "LoadImage", "UpscaleModelLoader", "ImageUpscaleWithModel", "FreeU",
    "IPAdapter", "MaskToImage", "PreviewImage", "LatentUpscale",
)  # fmt: skip
#: what the probe tells of a node's inputs and outputs, of usual length
_SHAPES: Final = json.dumps(
    {
        "inputs": {"steps": 20, "cfg": 7.0, "text": "3f9a01bc22de", "seed": 123456789},
        "outputs": {"0": {"shape": [1, 4, 128, 128], "dtype": "torch.float16"}},
    }
)
#: a body as frontends post it with its workflow, of usual length
_PROMPT: Final = b'{"3": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 20}}}' * 60


@dataclass(frozen=True, slots=True)
class Season:
    """How much there is of everything."""

    jobs: int
    nodes_each: int
    days: int
    gpus: int
    users: int
    workflows: int
    until_ms: int

    @property
    def from_ms(self) -> int:
        """Its first moment."""
        return self.until_ms - self.days * 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class JobRows:
    """One job's rows, by table."""

    job: Row
    attempt: Row
    prompt: Row
    nodes: list[Row]


def jobs(season: Season, seed: int = 1) -> Iterator[JobRows]:
    """All jobs, oldest first."""
    rng = Random(seed)
    step = (season.until_ms - season.from_ms) / season.jobs
    for number in range(season.jobs):
        ended_ms = season.from_ms + int(step * (number + rng.random()))
        yield _job(season, rng, number, ended_ms)


def _job(season: Season, rng: Random, number: int, ended_ms: int) -> JobRows:
    user = f"user-{int(rng.paretovariate(1.0)) % season.users}"
    # a few workflows make up most runs
    workflow = int(rng.paretovariate(0.7)) % season.workflows
    seconds = rng.lognormvariate(2.0, 0.8)
    job_id = f"{rng.getrandbits(128):032x}"
    gpu = f"GPU-{number % season.gpus:04d}"
    started_ms = ended_ms - int(seconds * 1000)
    failed = rng.random() < 0.03
    reserved = rng.randrange(4, 20) * GIB
    job: Row = {
        "id": job_id, "user_name": user, "group_name": f"group-{hash_of(user) % 5}",
        "prompt_id": job_id, "client_id": "c", "number": number,
        "state": "FAILED" if failed else "SUCCEEDED", "reason": "node_error" if failed else None,
        "lane": "interactive", "fingerprint": f"fp-{workflow:04d}", "attempts": 1, "losses": 0,
        "ooms": int(rng.random() < 0.002), "worker": f"host-{number % (2 * season.gpus)}",
        "gpu": gpu, "needs_gpu": True, "need_bytes": reserved, "need_seconds": seconds * 1.1,
        "run_seconds": seconds, "reserved_bytes": reserved,
        "peak_bytes": int(reserved * rng.uniform(0.5, 0.96)),
        "submitted_ms": started_ms - rng.randrange(60_000), "admitted_ms": started_ms,
        "started_ms": started_ms, "ended_ms": ended_ms, "prompt": _PROMPT, "result": b"{}",
        "model": f"model-{workflow % 12}", "model_bytes": 6 * GIB, "load_seconds": 4.0,
    }  # fmt: skip
    attempt: Row = {
        "job_id": job_id, "attempt": 1, "user_name": user, "worker": job["worker"], "gpu": gpu,
        "admitted_ms": started_ms, "claimed_ms": started_ms, "ended_ms": ended_ms,
        "state": job["state"], "reason": job["reason"], "reserved_bytes": reserved,
        "cost_us": int(seconds * 400_000),
    }  # fmt: skip
    prompt: Row = {
        "job_id": job_id, "attempt": 1, "user_name": user, "worker": job["worker"], "gpu": gpu,
        "started_ms": started_ms, "seconds": seconds, "result": "success",
        "nodes": season.nodes_each, "cached": 3, "peak_allocated": 3 * GIB,
        "peak_reserved": 4 * GIB, "allocated_before": 0, "allocated_after": GIB,
        "reserved_before": 0, "reserved_after": GIB, "limit_bytes": reserved, "loads": 1,
        "load_seconds": 2.0, "overlap": False, "retained": None,
    }  # fmt: skip
    nodes = [
        _node(rng, job, place, started_ms + int(place * seconds * 1000 / season.nodes_each))
        for place in range(season.nodes_each)
    ]
    if failed:
        nodes[-1] |= {"result": "failure", "error": "ValueError"}
    return JobRows(job, attempt, prompt, nodes)


def _node(rng: Random, job: Row, place: int, started_ms: int) -> Row:
    class_type = _CLASSES[place % len(_CLASSES)]
    cached = place % 7 == 3
    return {
        "job_id": job["id"], "attempt": 1, "node": str(place), "user_name": job["user_name"],
        "display": "", "class_type": class_type, "started_ms": started_ms,
        "seconds": 0.0 if cached else rng.lognormvariate(-1.0, 1.0), "calls": 1,
        "cached": cached, "result": "success", "error": None, "before_bytes": GIB,
        "after_bytes": GIB, "peak_bytes": 3 * GIB, "out_bytes": 2**20, "shapes": _SHAPES,
        "fallback": "tiled" if class_type == "VAEDecode" and rng.random() < 0.01 else None,
        "capture": None,
    }  # fmt: skip


def gpu_samples(season: Season, step_s: int, days: int, seed: int = 2) -> Iterator[Row]:
    """Readings of all GPUs over the last days."""
    rng = Random(seed)
    for at_ms in range(season.until_ms - days * 24 * HOUR_MS, season.until_ms, step_s * 1000):
        for number in range(season.gpus):
            reserved = rng.randrange(0, 20) * GIB
            yield {
                "step_s": step_s, "at_ms": at_ms, "gpu": f"GPU-{number:04d}",
                "total_bytes": 24 * GIB, "foreign_bytes": GIB, "resident_bytes": GIB,
                "reserved_bytes": reserved, "free_bytes": 22 * GIB - reserved,
                "least_free_bytes": GIB, "utilisation": rng.random(), "temperature": 60,
                "power_mw": 300_000, "readings": step_s,
                "holders": f'[["host-{number}","user-1",{reserved}],["host-9{number}","",{GIB}]]',
            }  # fmt: skip


def pool_samples(season: Season, step_s: int, days: int, seed: int = 3) -> Iterator[Row]:
    """The queue over the last days."""
    rng = Random(seed)
    for at_ms in range(season.until_ms - days * 24 * HOUR_MS, season.until_ms, step_s * 1000):
        queued = rng.randrange(40)
        yield {
            "step_s": step_s, "at_ms": at_ms, "queued": float(queued), "running": 8.0,
            "waiting_users": 5.0, "most_queued": queued, "most_running": 8,
            "longest_wait_ms": 1000 * queued, "readings": step_s,
        }  # fmt: skip


def waits(season: Season, seed: int = 4) -> Iterator[Row]:
    """What kept whom waiting in each hour: a dozen of pairs."""
    rng = Random(seed)
    for at_ms in range(season.from_ms, season.until_ms, HOUR_MS):
        for number in range(12):
            yield {
                "step_s": 3600, "at_ms": at_ms, "user_name": f"user-{number}",
                "reason": ("no_headroom", "fairness", "cap")[number % 3],
                "blocker": f"user:user-{rng.randrange(season.users)}",
                "job_ms": rng.randrange(HOUR_MS),
            }  # fmt: skip


def hash_of(name: str) -> int:
    """The same in every process."""
    return sum(name.encode())
