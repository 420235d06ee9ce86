"""What workers can do, answered from memory: node definitions, models, versions.

A bare ComfyUI blocks its event loop for 45 ms per ``/object_info`` (measured); here it is
fetched when workers change, merged, serialised and compressed once per version, and again
only where a user's own file names are part of it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import quote

import msgspec
import structlog

from gateway.agents import PATIENCE_S, Agents
from gateway.definitions import Definitions, Packed
from gateway.denied import without
from gateway.errors import UpstreamDown
from gateway.mates import Mates, folder_of
from gateway.model_sizes import by_model
from gateway.object_info import UserFiles, for_user, merge, user_files
from gateway.ports import InputFiles
from gateway.sight import EVERYTHING, Sight
from scheduler.ledger import Ledger, LedgerUnavailable
from scheduler.states import Worker, WorkerState

#: definitions are asked for again on use after this long, and at once when workers change
_MAX_AGE_S: Final = 60.0
#: an upload through another gateway shows up in the file choices after this long
_NAMES_MAX_AGE_S: Final = 2.0
_USERS: Final = 256
_LISTS: Final = 256
#: kinds of users that see not all; each costs what all definitions do
_VIEWS: Final = 8
_PARALLEL: Final = 4
#: seconds that a page's settings wait for a worker
_GLANCE_S: Final = 1.0
_TEMPLATES: Final = "templates/index.json"
_MODELS: Final = "experiment/models"
#: seconds that a first prompt waits for model sizes; without them its estimate is coarse
_FIRST_SIZES_S: Final = 1.0
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Names:
    files: UserFiles
    #: whose outputs are among them
    mates: tuple[str, ...]
    version: str
    read_at: float


@dataclass(frozen=True, slots=True)
class _Cached:
    answer: Any
    read_at: float
    changes: int


class WorkerInfo:
    """Merged and cached answers of the READY workers."""

    def __init__(
        self,
        agents: Agents,
        ledger: Ledger,
        input_files: InputFiles,
        mates: Mates,
        clock: Callable[[], float],
    ) -> None:
        self._agents = agents
        self._ledger = ledger
        self._input_files = input_files
        self._mates = mates
        self._clock = clock
        self._base = Definitions.of({})
        #: what each worker said, and what some users see of it
        self._told: list[tuple[Worker, dict[str, Any]]] = []
        self._views: OrderedDict[Sight, Definitions] = OrderedDict()
        self._fetched_at = 0.0
        self._stale = True
        self._alive: frozenset[tuple[str, str]] = frozenset()
        #: counts changes of workers, so that cached lists know whether they are older
        self._changes = 0
        self._fetching: asyncio.Task[None] | None = None
        self._sizes: Mapping[str, int] = {}
        self._sizing: asyncio.Task[None] | None = None
        #: definitions have changed since sizes were read
        self._unsized = True
        self._names: OrderedDict[str, _Names] = OrderedDict()
        self._lists: OrderedDict[str, _Cached] = OrderedDict()

    def note_change(self) -> None:
        """The pool was read again (``EventKind.CAPACITY``).

        Such events also tell of memory and jobs; only other living workers, or other
        nodes and models of theirs, make the answers old, and they are asked for again on next use.
        """
        alive = self._living()
        if alive != self._alive:
            self._alive = alive
            self._stale = True
            self._changes += 1

    def _living(self) -> frozenset[tuple[str, str]]:
        """Workers with what they offer: one that was restarted may have other nodes."""
        return frozenset(
            (worker.id, worker.catalogue)
            for worker in self._agents.pool.workers.values()
            if worker.state is not WorkerState.DOWN
        )

    def note_files(self, user: str) -> None:
        """The user's files changed: their choices are read again on next use."""
        self._names.pop(user, None)

    async def close(self) -> None:
        """Stop fetches that are under way."""
        tasks = [task for task in (self._fetching, self._sizing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def object_info(self, sight: Sight = EVERYTHING) -> Mapping[str, Any]:
        """The merged definitions as workers gave them; not to be changed. Empty: none known."""
        return (await self._view(sight)).info

    async def model_sizes(self) -> Mapping[str, int]:
        """Bytes of model files by ``folder/name``, as last told; empty while nobody has told.

        Asked for when definitions change, which list the same files; nobody waits for it
        but the first, and not for long.
        """
        await self._current()
        sizing = self._sizing
        if sizing is not None and not self._sizes and not sizing.done():
            await asyncio.wait({sizing}, timeout=_FIRST_SIZES_S)
        return self._sizes

    async def node(self, user: str, name: str, sight: Sight = EVERYTHING) -> Any | None:
        """One class as this user sees it, or None."""
        base = await self._view(sight)
        node = base.info.get(name)
        if node is None or name not in base.files:
            return node
        return for_user(name, node, (await self._user_names(user)).files)

    async def packed(self, user: str, sight: Sight = EVERYTHING) -> Packed | None:
        """All definitions as this user sees them, ready to send; None: none known yet."""
        base = await self._view(sight)
        if not base.info:
            return None
        names = await self._user_names(user)
        found = base.packed.get(names.version)
        if found is None:
            found = await asyncio.to_thread(base.pack, names.files, names.version)
            base.packed.put(names.version, found, len(found.gzipped))
        return found

    async def _view(self, sight: Sight) -> Definitions:
        """The definitions of the workers that the sight includes, less what it is denied."""
        await self._current()
        if sight == EVERYTHING:
            return self._base
        found, base = self._views.get(sight), self._base
        if found is None:
            pool = self._agents.pool
            seen = [info for worker, info in self._told if sight.includes(worker, pool)]
            info = merge(seen) if sight.workers else base.info
            found = await asyncio.to_thread(Definitions.of, without(info, sight.denied))
            if self._base is base:
                self._views[sight] = found
            if len(self._views) > _VIEWS:
                self._views.popitem(last=False)
        else:
            self._views.move_to_end(sight)
        return found

    async def union(self, path: str) -> list[Any] | None:
        """A list route (models, embeddings …) united over workers; None: all say 404."""

        async def ask() -> list[Any] | None:
            answers = await self._ask_all(path)
            lists = [answer for answer in answers if isinstance(answer, list)]
            seen = {msgspec.json.encode(entry): entry for one in lists for entry in one}
            return list(seen.values()) if lists else None

        found: list[Any] | None = await self._cached(f"union {path}", ask)
        return found

    async def first(self, path: str) -> Any | None:
        """A route that is the same on all workers, from the first that answers."""

        async def ask() -> Any | None:
            answers = await self._ask_all(path, (await self._agents.ready())[:_PARALLEL])
            return next((answer for answer in answers if answer is not None), None)

        return await self._cached(f"first {path}", ask)

    async def has_templates(self) -> bool:
        """Whether any worker has workflow templates for the UI to offer."""

        async def ask() -> bool | None:
            try:
                async with asyncio.timeout(_GLANCE_S):
                    answers = await self._ask_all(_TEMPLATES)
            except TimeoutError:
                return None  # a page waits for this; a worker too busy to say counts as "none"
            return True if any(answer is not None for answer in answers) else None

        return bool(await self._cached(f"any {_TEMPLATES}", ask))

    async def of(self, worker: Worker, path: str) -> Any | None:
        """One worker's own answer; None: it gives none."""

        async def ask() -> Any | None:
            try:
                return await self._agents.get_json(worker, path)
            except UpstreamDown:
                return None

        return await self._cached(f"{worker.id} {path}", ask)

    async def _cached(self, key: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        known = self._lists.get(key)
        now = self._clock()
        if known and known.changes == self._changes and now - known.read_at < _MAX_AGE_S:
            return known.answer
        changes = self._changes
        fresh = await ask()
        if fresh is None and not await self._agents.ready():
            # nobody was there to ask: the last good one stays, and who asks next asks again
            return None if known is None else known.answer
        self._lists[key] = _Cached(fresh, self._clock(), changes)
        self._lists.move_to_end(key)
        if len(self._lists) > _LISTS:
            self._lists.popitem(last=False)
        return fresh

    async def _current(self) -> None:
        """Wait for the first definitions; later ones are fetched behind the answer."""
        due = self._stale or self._clock() - self._fetched_at > _MAX_AGE_S
        if due and (self._fetching is None or self._fetching.done()):
            self._fetching = asyncio.create_task(self._fetch(), name="object_info")
        if self._fetching is not None and not self._base.info:
            await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        self._fetched_at = self._clock()
        try:
            workers = await self._agents.ready()
            self._alive, self._stale = self._living(), False
            infos = await self._ask_all("object_info", workers)
        except LedgerUnavailable:
            log.warning("object_info_kept", reason="ledger unavailable")
            return
        told = [
            (worker, info)
            for worker, info in zip(workers, infos, strict=False)
            if isinstance(info, dict)
        ]
        good = [info for _, info in told]
        if not good:
            # the last good ones stay; where there are none, the next request asks again
            self._stale = not self._base.info
            return
        base = await asyncio.to_thread(lambda: Definitions.of(merge(good)))
        self._told = await asyncio.to_thread(_shared, told)
        self._views.clear()
        if base.etag != self._base.etag:
            log.info("object_info_merged", classes=len(base.info), workers=len(good))
            self._base = base
            self._unsized = True
        if self._unsized and (self._sizing is None or self._sizing.done()):
            self._sizing = asyncio.create_task(self._fetch_sizes(), name="model sizes")

    async def _fetch_sizes(self) -> None:
        try:
            workers = await self._agents.ready()
            told = await self._ask_all(_MODELS, workers)
            names = {name for one in told for name in _names(one)}
            folders = {
                name: [
                    entry
                    for one in await self._ask_all(f"{_MODELS}/{quote(name, safe='')}", workers)
                    if isinstance(one, list)
                    for entry in one
                ]
                for name in sorted(names)
            }
        except LedgerUnavailable:
            return  # with the next definitions
        if names or any(one is not None for one in told):
            self._unsized = False
        self._sizes = by_model(folders) or self._sizes
        log.info("model_sizes_read", folders=len(folders), models=len(self._sizes))

    async def _ask_all(self, path: str, workers: list[Worker] | None = None) -> list[Any]:
        """Answers in the workers' order, None for a 404 and for a worker that is silent.

        Only where all are silent are they waited for.
        """
        asked = await self._agents.ready() if workers is None else workers
        for patience_s, some in ((0.0, asked), (PATIENCE_S, asked[:_PARALLEL])):
            gate = asyncio.Semaphore(_PARALLEL)
            answers = await asyncio.gather(
                *(self._ask(worker, path, gate, patience_s) for worker in some)
            )
            if any(told for _, told in answers):
                break
        return [answer for answer, _ in answers]

    async def _ask(
        self, worker: Worker, path: str, gate: asyncio.Semaphore, patience_s: float
    ) -> tuple[Any | None, bool]:
        """The answer, and whether there was one at all."""
        async with gate:
            try:
                return await self._agents.get_json(worker, path, patience_s=patience_s), True
            except UpstreamDown:
                return None, False

    async def shared_outputs(self, user: str) -> list[str]:
        """Outputs of the user's mates as the user calls them: each mate's newest first."""
        names = []
        for mate in self._mates.outputs(user):
            made = [
                one.filename
                for one in await self._ledger.files(mate, "output")
                if not one.subfolder
            ]
            sent = [file.path for file in await self._input_files.list(mate, "output")]
            kept = dict.fromkeys([*made, *(path for path in sent if "/" not in path)])
            names += [f"{folder_of(mate, '')}/{name}" for name in kept]
        return names

    async def _user_names(self, user: str) -> _Names:
        known, mates = self._names.get(user), self._mates.outputs(user)
        young = known is not None and self._clock() - known.read_at < _NAMES_MAX_AGE_S
        if known is not None and young and known.mates == mates:
            return known
        inputs = [file.path for file in await self._input_files.list(user, "input")]
        outputs: tuple[str, ...] = ()
        if self._base.lists_outputs:
            records = await self._ledger.files(user, "output")
            outputs = tuple(record.filename for record in records if not record.subfolder)
            outputs += tuple(await self.shared_outputs(user))
        files = user_files(inputs, outputs)
        version = blake2b(msgspec.json.encode(files), digest_size=12).hexdigest()
        names = _Names(files, mates, version, self._clock())
        self._names[user] = names
        self._names.move_to_end(user)
        if len(self._names) > _USERS:
            self._names.popitem(last=False)
        return names


def _names(folders: Any) -> list[str]:
    """The folders that a worker lists, by name."""
    entries = folders if isinstance(folders, list) else []
    found = [entry.get("name") for entry in entries if isinstance(entry, dict)]
    return [name for name in found if isinstance(name, str) and name]


def _shared(
    told: list[tuple[Worker, dict[str, Any]]],
) -> list[tuple[Worker, dict[str, Any]]]:
    """The same, equal definitions held once: they are some megabytes each."""
    kinds: list[dict[str, Any]] = []
    found = []
    for worker, info in told:
        same = next((kind for kind in kinds if kind == info), None)
        if same is None:
            kinds.append(info)
        found.append((worker, info if same is None else same))
    return found
