"""Brings the files a prompt reads to the worker that runs it."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import structlog

from config.free_space import FULL
from scheduler.ledger import FileRecord
from scheduler.states import InputFile, Job
from scheduler.workflow.passed_pictures import READER_INPUT, pinned_name, read_pictures
from worker_agent.comfy_client import ComfyClient, FileRefused
from worker_agent.services import Services, patiently
from worker_agent.tenancy import (
    FileRef,
    Place,
    Schema,
    find_refs,
    input_path,
    split_annotation,
    worker_path,
)

_log = structlog.get_logger(__name__)

#: rounds over all gateways before a job goes back to the queue, and the pause between
_ROUNDS: Final = 3
_PAUSE_S: Final = 1.0
_CHUNK: Final = 256 * 1024
#: uploads that a worker is known to have; an older one would be sent to it again
_KNOWN: Final = 4096
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=30.0)


class InputsUnavailable(Exception):
    """No gateway or agent hands out the file now: check that they reach one another."""


class InputGone(Exception):
    """The file exists nowhere any more."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a prompt's files lie on the worker."""

    #: the worker's name of the file that stands at each place
    values: Mapping[Place, str] = field(default_factory=dict)
    #: the worker's input path → the user's
    back: Mapping[str, str] = field(default_factory=dict)


class Inputs:
    """The input folder of one worker."""

    def __init__(self, services: Services) -> None:
        self._services = services
        #: (user, path, sha256) → where these bytes lie
        self._known: dict[tuple[str, str, str], str] = {}

    def forget(self) -> None:
        """The worker was started anew, maybe with an empty folder."""
        self._known.clear()

    async def place(
        self, client: ComfyClient, job: Job, graph: Mapping[str, Any], schema: Schema
    ) -> Placed:
        """Upload what the prompt names and the worker lacks.

        Raises:
            InputsUnavailable: nobody hands a file out now; try again later.
            InputGone: a file is gone for good, or too large for this worker.
            WorkerUnreachable: the worker does not take it.
        """
        try:
            return await self._place(client, job, graph, schema)
        except FileRefused as error:
            raise InputGone(
                f"{error}; ask your admin to raise that worker's --max-upload-size."
            ) from error

    async def _place(
        self, client: ComfyClient, job: Job, graph: Mapping[str, Any], schema: Schema
    ) -> Placed:
        pinned = {file.path: file for file in job.inputs}
        values: dict[Place, str] = {}
        back: dict[str, str] = {}
        for ref in find_refs(graph, schema, pinned.keys()):
            original = _original(graph, ref)
            file = _pinned(ref, original, pinned)
            if file is not None:
                path = await self._upload_pinned(client, job.user, file)
                back[path] = ref.path
                values[ref.place] = _annotated(path, original)
            else:
                values[ref.place] = await self._unpinned(client, job, ref, original)
        for node, picture in read_pictures(graph):
            values[node, READER_INPUT, ""] = await self._pass(
                client, picture, pinned.get(pinned_name(picture))
            )
        return Placed(values, back)

    async def _pass(self, client: ComfyClient, picture: str, file: InputFile | None) -> str:
        """Put a picture into the worker's memory; its id there.

        Each time anew, as it is forgotten after some minutes. By its digest: an id that
        another user has chosen too would mean that user's picture.
        """
        if file is None:
            raise InputGone(f"The picture {picture} is not here (any more); send it again.")
        with self._copy() as copy:
            await self._fetch_input(file, copy)
            await client.pass_picture(file.sha256, copy)
        return file.sha256

    async def _unpinned(self, client: ComfyClient, job: Job, ref: FileRef, original: str) -> str:
        """An output of the user's, or a name that the worker will find missing."""
        record = None
        if ref.type != "input":
            folder, _, name = ref.path.rpartition("/")
            record = await patiently(
                lambda: self._services.ledger.file(job.user, ref.type, folder, name), "file"
            )
        if record is None:
            return _annotated(input_path(job.user, ref.path), original)
        if record.worker == job.worker:
            path = _join(record.worker_subfolder, record.worker_filename)
            return f"{path} [{record.type}]"
        target = worker_path(
            job.user, f"{record.worker}/{_join(record.subfolder, record.filename)}"
        )
        folder, _, name = target.rpartition("/")
        with self._copy() as copy:
            await self._fetch_output(record, copy)
            return f"{await client.upload(folder, name, copy)} [input]"

    async def _upload_pinned(self, client: ComfyClient, user: str, file: InputFile) -> str:
        key = (user, file.path, file.sha256)
        if key not in self._known:
            path, _ = split_annotation(file.path)
            folder, _, name = input_path(user, path).rpartition("/")
            with self._copy() as copy:
                await self._fetch_input(file, copy)
                self._known[key] = await client.upload(folder, name, copy)
            if len(self._known) > _KNOWN:
                del self._known[next(iter(self._known))]
        return self._known[key]

    @contextmanager
    def _copy(self) -> Iterator[Path]:
        """Where a file lies on its way to the worker: films do not fit into memory."""
        with tempfile.TemporaryDirectory(dir=self._services.scratch) as folder:
            yield Path(folder) / "input"

    async def _fetch_input(self, file: InputFile, copy: Path) -> None:
        for round_ in range(_ROUNDS):
            if round_:
                await asyncio.sleep(_PAUSE_S)
            pool = await patiently(self._services.ledger.pool, "pool")
            # gateway processes of one host share their port, and their disk
            urls = {url.rstrip("/") for url in pool.gateways.values()}
            answers: list[str | int] = []
            for url in sorted(urls):
                found = await self._try(f"{url}/cluster/v1/inputs/{file.sha256}", {}, copy)
                if found == file.sha256:
                    return
                answers.append(found)
            if answers and all(answer == 404 for answer in answers):
                raise InputGone(f"The uploaded file {file.path} is gone; upload it again.")
        raise InputsUnavailable(f"no gateway hands out {file.sha256[:12]}")

    async def _fetch_output(self, record: FileRecord, copy: Path) -> None:
        query = {
            "type": record.type,
            "subfolder": record.worker_subfolder,
            "filename": record.worker_filename,
        }
        sibling = self._services.client_of(record.worker)
        if sibling is not None:
            async with sibling.view(query, {}) as reply:
                answer = await _keep(reply, copy)
        else:
            pool = await patiently(self._services.ledger.pool, "pool")
            agent = pool.agents.get(record.agent)
            if agent is None:
                raise InputsUnavailable(f"agent {record.agent} is away")
            url = f"{agent.url.rstrip('/')}/v1/workers/{record.worker}/file"
            answer = await self._try(url, query, copy)
        if isinstance(answer, str):
            return
        if answer == 404:
            raise InputGone(f"The output {record.filename} is gone.")
        raise InputsUnavailable(f"agent {record.agent} answered {answer}")

    async def _try(self, url: str, query: Mapping[str, str], copy: Path) -> str | int:
        """The digest of what came, or the status (0: no answer) where nothing did."""
        try:
            async with self._authorised(url, query) as reply:
                return await _keep(reply, copy)
        except (aiohttp.ClientError, TimeoutError) as error:
            _log.info("input_fetch_failed", detail=repr(error))
            return 0

    @asynccontextmanager
    async def _authorised(
        self, url: str, query: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        async with self._services.session.get(
            url,
            params=query,
            headers={"Authorization": f"Bearer {self._services.token}"},
            allow_redirects=False,
            timeout=_TIMEOUT,
        ) as reply:
            yield reply


def _original(graph: Mapping[str, Any], ref: FileRef) -> str:
    """What the user has written where a file is named."""
    value = graph[ref.node]["inputs"][ref.input]
    return str(value[ref.part] if ref.part else value)


def _pinned(ref: FileRef, original: str, pinned: Mapping[str, InputFile]) -> InputFile | None:
    """The gateway names an input by its path, another file by the value that names it."""
    if ref.type == "input":
        return pinned.get(ref.path)
    return pinned.get(original) or pinned.get(f"{ref.path} [{ref.type}]")


def _annotated(path: str, original: str) -> str:
    """Our copy lies among the inputs, whatever folder the user named."""
    return path if split_annotation(original)[1] is None else f"{path} [input]"


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


async def _keep(reply: aiohttp.ClientResponse, copy: Path) -> str | int:
    """Write an answer's body to a file: its SHA-256, or the status where it has none.

    Raises:
        InputsUnavailable: this host's disk is full.
    """
    if reply.status != 200:
        return reply.status
    digest = hashlib.sha256()
    try:
        with copy.open("wb") as file:
            async for chunk in reply.content.iter_chunked(_CHUNK):
                digest.update(chunk)
                await asyncio.to_thread(file.write, chunk)
    except OSError as error:
        if isinstance(error, aiohttp.ClientError):
            raise
        if error.errno in FULL:
            _log.error("disk_full", folder=str(copy.parent), detail=str(error))
        raise InputsUnavailable(f"the file cannot be kept here: {error}") from error
    return digest.hexdigest()
