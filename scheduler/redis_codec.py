"""Redis hashes and stream entries ↔ the nouns of ``scheduler.states`` and ``scheduler.ledger``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple

import msgspec

from scheduler.ledger import Event, EventKind, FileRecord, Order, OrderKind, Trust
from scheduler.probed import Probed
from scheduler.redis_vitals import decode_vitals
from scheduler.states import (
    Agent,
    FailReason,
    Gpu,
    GpuState,
    Guess,
    InputFile,
    Job,
    JobState,
    Lane,
    MemoryLimit,
    MemorySource,
    NewJob,
    Step,
    WaitReason,
    Worker,
    WorkerState,
)

Fields = Mapping[bytes, bytes]


class Spec(msgspec.Struct, frozen=True, array_like=True):
    """What never changes about a job, in one field of its hash."""

    group: str
    lane: Lane
    fingerprint: str
    models: tuple[str, ...]
    need_seconds: float
    needs_gpu: bool
    #: (path, sha256, size_bytes)
    inputs: tuple[tuple[str, str, int], ...]
    # from here on absent in records of older versions
    parents: tuple[str, ...] = ()
    model_bytes: tuple[int, ...] = ()
    load_seconds: float = 0.0
    late_seconds: float = 0.0
    #: (bytes, seconds)
    curve: tuple[tuple[int, float], ...] = ()
    host_bytes: int = 0
    #: bytes, seconds, load seconds
    guess: tuple[int, float, float] = (0, 0.0, 0.0)
    requires: str = ""


_decode_spec = msgspec.json.Decoder(Spec).decode
_decode_models = msgspec.json.Decoder(tuple[str, ...]).decode


def encode_spec(job: NewJob, group: str) -> bytes:
    """The unchanging part of a new job; ``group`` is the one that it is charged to."""
    inputs = tuple((file.path, file.sha256, file.size_bytes) for file in job.inputs)
    return msgspec.json.encode(
        Spec(
            group,
            job.lane,
            job.fingerprint,
            job.models,
            job.need_seconds,
            job.needs_gpu,
            inputs,
            job.parents,
            job.model_bytes,
            job.load_seconds,
            job.late_seconds,
            tuple((step.bytes, step.seconds) for step in job.curve),
            job.host_bytes,
            (job.guess.bytes, job.guess.seconds, job.guess.load_seconds),
            job.requires,
        )
    )


def encode_models(models: Sequence[str]) -> bytes:
    """A worker's loaded models."""
    return msgspec.json.encode(tuple(models))


def pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """A hash as a script returns it (field, value, field, …)."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def decode_job(fields: Fields) -> Job | None:
    """One ``job:<id>`` hash; None when there is none."""
    if not fields:
        return None
    spec = _decode_spec(fields[b"spec"])
    client_id = fields.get(b"client_id")
    reason = fields.get(b"reason")
    wait_reason = fields.get(b"wait_reason")
    return Job(
        id=_text(fields, b"id"),
        user=_text(fields, b"user"),
        group=spec.group,
        prompt_id=_text(fields, b"prompt_id"),
        client_id=None if client_id is None else client_id.decode(),
        state=JobState(_text(fields, b"state")),
        rev=int(fields[b"rev"]),
        attempt=_int(fields, b"attempt"),
        number=int(fields[b"number"]),
        lane=spec.lane,
        fingerprint=spec.fingerprint,
        models=spec.models,
        need_bytes=_int(fields, b"need_bytes"),
        need_seconds=spec.need_seconds,
        needs_gpu=spec.needs_gpu,
        inputs=tuple(InputFile(path=p, sha256=h, size_bytes=n) for p, h, n in spec.inputs),
        submitted_ms=_int(fields, b"submitted_ms"),
        admitted_ms=_int(fields, b"admitted_ms"),
        started_ms=_int(fields, b"started_ms"),
        ended_ms=_int(fields, b"ended_ms"),
        worker=_text(fields, b"worker"),
        gpu=_text(fields, b"gpu"),
        reserved_bytes=_int(fields, b"reserved_bytes"),
        attempt_uuid=_text(fields, b"attempt_uuid"),
        sid=_text(fields, b"sid"),
        losses=_int(fields, b"losses"),
        ooms=_int(fields, b"ooms"),
        reason=None if reason is None else FailReason(reason.decode()),
        wait_reason=None if wait_reason is None else WaitReason(wait_reason.decode()),
        wait_detail=_text(fields, b"wait_detail"),
        peak_bytes=_int(fields, b"peak_bytes"),
        run_seconds=float(fields.get(b"run_seconds", 0)),
        clean=fields.get(b"clean") == b"1",
        probed=decode_probed(fields.get(b"probed")),
        parents=spec.parents,
        model_bytes=spec.model_bytes,
        load_seconds=spec.load_seconds,
        late_seconds=spec.late_seconds,
        curve=tuple(Step(bytes_, seconds) for bytes_, seconds in spec.curve),
        host_bytes=spec.host_bytes,
        deadline_ms=_int(fields, b"deadline_ms"),
        held=b"held" in fields,
        skips=_int(fields, b"skips"),
        preemptions=_int(fields, b"preemptions"),
        begun=b"begun" in fields,
        preempting=b"preempting" in fields,
        granted_seconds=float(fields.get(b"granted_seconds", 0)),
        granted_load_seconds=float(fields.get(b"granted_load_seconds", 0)),
        trial=fields.get(b"trial") == b"1",
        user_charge=_int(fields, b"user_charge"),
        group_charge=_int(fields, b"group_charge"),
        user_cost=_int(fields, b"user_cost"),
        group_cost=_int(fields, b"group_cost"),
        charge=_int(fields, b"charge"),
        cost=_int(fields, b"cost"),
        guess=Guess(*spec.guess),
        wait_blocker=_text(fields, b"wait_blocker"),
        start_p50_ms=_int(fields, b"start_p50_ms"),
        start_p90_ms=_int(fields, b"start_p90_ms"),
        requires=spec.requires,
    )


class _Seen(msgspec.Struct, frozen=True, array_like=True):
    needed_bytes: int
    limit_bytes: int
    left_bytes: int
    loads: int
    load_seconds: float
    fallback: str
    partial: bool


_decode_seen = msgspec.json.Decoder(_Seen).decode


def encode_probed(probed: Probed | None) -> bytes:
    """What a probe told of an attempt, in one field of the job's hash; empty: it told nothing."""
    return b"" if probed is None else msgspec.json.encode(_Seen(*astuple(probed)))


def decode_probed(field: bytes | None) -> Probed | None:
    """The same, back."""
    return Probed(**msgspec.structs.asdict(_decode_seen(field))) if field else None


def decode_group(group: bytes | None, spec: bytes | None) -> str:
    """A job's group; records of older versions have it in the spec alone."""
    if group is not None:
        return group.decode()
    return _decode_spec(spec).group if spec else ""


def decode_worker(worker_id: str, fields: Fields, holds: Fields) -> Worker | None:
    """One ``worker:<id>`` hash with its GPU's ``holds``."""
    if not fields:
        return None
    return Worker(
        id=worker_id,
        agent=_text(fields, b"agent"),
        gpu=_text(fields, b"gpu"),
        state=WorkerState(_text(fields, b"state")),
        used_bytes=_int(holds, b"u:" + worker_id.encode()),
        models=_decode_models(fields[b"models"]),
        heartbeat_ms=_int(fields, b"heartbeat_ms"),
        job=_text(fields, b"job"),
        reserved_bytes=_int(holds, b"r:" + worker_id.encode()),
        has_probe=fields[b"has_probe"] == b"1",
        limit=MemoryLimit(fields.get(b"limit", b"observed").decode()),
        host_used_bytes=_int(fields, b"host_used_bytes"),
        failures=_int(fields, b"failures"),
        failed_ms=_int(fields, b"failed_ms"),
        catalogue=_text(fields, b"catalogue"),
        detail=_text(fields, b"detail"),
        loaded=_text(fields, b"loaded"),
    )


def decode_gpu(gpu_id: str, fields: Fields) -> Gpu | None:
    """One ``gpu:<id>`` hash."""
    if not fields:
        return None
    return Gpu(
        id=gpu_id,
        agent=_text(fields, b"agent"),
        index=int(fields[b"index"]),
        name=_text(fields, b"name"),
        total_bytes=int(fields[b"total_bytes"]),
        used_bytes=int(fields[b"used_bytes"]),
        foreign_bytes=int(fields[b"foreign_bytes"]),
        state=GpuState(_text(fields, b"state")),
        memory_source=MemorySource(_text(fields, b"memory_source")),
        heartbeat_ms=int(fields[b"heartbeat_ms"]),
        vitals=decode_vitals(fields.get(b"vitals")),
        rival=_text(fields, b"rival"),
    )


def decode_agent(agent_id: str, fields: Fields) -> Agent | None:
    """One ``agent:<id>`` hash."""
    if not fields:
        return None
    return Agent(
        id=agent_id,
        url=_text(fields, b"url"),
        version=_text(fields, b"version"),
        heartbeat_ms=int(fields[b"heartbeat_ms"]),
        host_total_bytes=_int(fields, b"host_total_bytes"),
        host_available_bytes=_int(fields, b"host_available_bytes"),
        boot=_text(fields, b"boot"),
        protocol=_int(fields, b"protocol"),
    )


def decode_event(event_id: bytes, fields: Fields) -> Event:
    """One entry of the stream."""
    client_id = fields.get(b"client_id")
    state = fields.get(b"state")
    text_id = event_id.decode()
    return Event(
        id=text_id,
        kind=EventKind(_text(fields, b"kind")),
        at_ms=int(text_id.partition("-")[0]),
        job=_text(fields, b"job"),
        user=_text(fields, b"user"),
        prompt_id=_text(fields, b"prompt_id"),
        client_id=None if client_id is None else client_id.decode(),
        state=None if state is None else JobState(state.decode()),
        attempt=_int(fields, b"attempt"),
        worker=_text(fields, b"worker"),
        gpu=_text(fields, b"gpu"),
        reason=_text(fields, b"reason"),
        remaining=_int(fields, b"remaining"),
        frames=fields.get(b"frames", b"[]"),
        bytes=_int(fields, b"bytes"),
        cost=_int(fields, b"cost"),
        begun=b"begun" in fields,
    )


def decode_order(entry: bytes) -> Order:
    """One entry of an inbox: kind, worker, job, attempt, tab-separated; RUN tells the user too."""
    kind, worker, job, attempt = entry.decode().split("\t")[:4]
    return Order(kind=OrderKind(kind), worker=worker, job=job, attempt=int(attempt))


def ordered_user(entry: bytes) -> str:
    """Whose job an entry of an inbox is about; "" where it does not tell."""
    return entry.decode().split("\t", 4)[4] if entry.count(b"\t") > 3 else ""


class _Told(msgspec.Struct, frozen=True, array_like=True):
    p50_factor: float
    p90_factor: float
    coverage: float
    scored: int


_decode_told = msgspec.json.Decoder(_Told).decode


def encode_trust(trust: Trust) -> bytes:
    """What forecasts are worth, in one field of the leader's hash."""
    told = _Told(trust.p50_factor, trust.p90_factor, trust.coverage, trust.scored)
    return msgspec.json.encode(told)


def decode_trust(field: bytes | None) -> Trust:
    """The same, back; nothing told yet is worth nothing yet."""
    return Trust() if field is None else Trust(**msgspec.structs.asdict(_decode_told(field)))


class _Location(msgspec.Struct, frozen=True):
    agent: str
    worker: str
    subfolder: str
    filename: str
    #: server time it was named at, for newest first
    at_ms: int
    #: the user's name number ``seq``, for files named within one ms
    seq: int = 0


_decode_location = msgspec.json.Decoder(_Location).decode


def decode_file(name: str, location: bytes) -> FileRecord:
    """One field of ``files:<user>``: ``<type>/<subfolder>/<filename>`` and where it lies."""
    return _record(name, _decode_location(location))


def decode_files(files: Fields, type: str) -> list[FileRecord]:
    """All outputs of one type, newest first."""
    prefix = f"{type}/".encode()
    found = [
        (name.decode(), _decode_location(where))
        for name, where in files.items()
        if name.startswith(prefix)
    ]
    found.sort(key=lambda item: (item[1].at_ms, item[1].seq), reverse=True)
    return [_record(name, where) for name, where in found]


def file_field(type: str, subfolder: str, filename: str) -> str:
    """The field of ``files:<user>``; file names hold no slash, so it can be taken apart."""
    return f"{type}/{subfolder}/{filename}"


def _record(name: str, where: _Location) -> FileRecord:
    type_, _, path = name.partition("/")
    subfolder, _, filename = path.rpartition("/")
    return FileRecord(
        type=type_,
        subfolder=subfolder,
        filename=filename,
        agent=where.agent,
        worker=where.worker,
        worker_subfolder=where.subfolder,
        worker_filename=where.filename,
    )


def _text(fields: Fields, name: bytes) -> str:
    return fields.get(name, b"").decode()


def _int(fields: Fields, name: bytes) -> int:
    return int(fields.get(name, 0))
