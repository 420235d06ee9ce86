"""A recording in Chrome's trace format, which Perfetto (ui.perfetto.dev) opens.

The queue, each GPU and each worker is a process. A job's wait is a slice of the queue, an arrow leads
from it to its run on a worker, whose nodes and model loads are slices below; memory is counters. The
format: "Trace Event Format" by the Chromium authors; times are microseconds.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from dashboard.perf_json.recording import Head
from dashboard.perf_json.shapes import (
    Entry,
    Gap,
    Gpu,
    Job,
    Memory,
    Move,
    Node,
    Queue,
    Run,
    Samples,
    Worker,
)

Event = dict[str, Any]
_encode: Final = msgspec.json.Encoder().encode

#: Process ids: 0 is no process to Perfetto.
_QUEUE: Final = 1
_FIRST: Final = 10
#: Threads of a worker: its runs, nodes and moves, each with room for those that overlap.
_LANES: Final = {"run": 1, "wait": 1, "node": 100_000, "move": 200_000, "gap": 300_000}
_TITLES: Final = {
    "run": "jobs", "wait": "waiting", "node": "nodes", "move": "models", "gap": "gaps",
}  # fmt: skip
_GRAIN_US: Final = 1000
#: Perfetto's names of colours.
_BAD: Final = "terrible"
_CACHED: Final = "grey"
_SLOW: Final = "bad"


class ChromeTrace:
    """Makes a trace of head and entries; slices go out as they come, in whatever order."""

    def __init__(self) -> None:
        self._pids: dict[tuple[str, str], int] = {}
        self._threads: set[tuple[int, int]] = set()
        #: (process, kind) → (free from ms, lane) of each lane
        self._lanes: dict[tuple[int, str], list[tuple[int, int]]] = {}
        self._lanes_seen: dict[tuple[int, str], int] = {}
        #: when and where a job's wait ended, for the arrow
        self._waits: dict[str, tuple[int, int]] = {}
        self._workers: dict[tuple[str, int], str] = {}
        self._first = True

    def begin(self, head: Head) -> bytes:
        """What the file is."""
        told = {"writer": head.about.writer, "from_ms": head.span.from_ms}
        name = self._metadata(_QUEUE, 0, "process_name", "queue")
        order = self._metadata(_QUEUE, 0, "process_sort_index", 0)
        text = b'{"displayTimeUnit":"ms","otherData":%s,"traceEvents":[\n' % _encode(told)
        return text + self._lines([name, order])

    def add(self, entry: Entry) -> bytes:
        """What one entry comes to; nothing of what a trace has no place for."""
        for kind, events in _EVENTS.items():
            if isinstance(entry, kind):
                return self._lines(events(self, entry))
        return b""

    def end(self) -> bytes:
        """The last brackets."""
        return b"\n]}\n"

    def _lines(self, events: Iterable[Event]) -> bytes:
        lines = [_encode(event) for event in events]
        if not lines:
            return b""
        before = b"" if self._first else b",\n"
        self._first = False
        return before + b",\n".join(lines)

    # ── processes and threads ────────────────────────────────────────────────

    def gpu(self, gpu: Gpu) -> Iterator[Event]:
        """A process for its counters."""
        yield from self._process("gpu", gpu.id, f"GPU {gpu.id}")

    def worker(self, worker: Worker) -> Iterator[Event]:
        """A process for its runs."""
        where = f" on GPU {worker.gpu}" if worker.gpu else ""
        yield from self._process("worker", worker.id, f"worker {worker.id}{where}")

    def _process(self, kind: str, name: str, title: str) -> Iterator[Event]:
        if (kind, name) in self._pids:
            return
        pid = self._pids[kind, name] = _FIRST + len(self._pids)
        yield self._metadata(pid, 0, "process_name", title)
        yield self._metadata(pid, 0, "process_sort_index", pid)

    def _metadata(self, pid: int, tid: int, what: str, value: str | int) -> Event:
        key = "sort_index" if what.endswith("sort_index") else "name"
        return {"ph": "M", "name": what, "pid": pid, "tid": tid, "ts": 0, "args": {key: value}}

    def _lane(self, pid: int, kind: str, begin: int, end: int) -> tuple[int, int, list[Event]]:
        """A thread on which nothing else is then, and when it is free; µs.

        Slices of one thread must not overlap. Begins are whole milliseconds: what is nearer than
        that to the end of the one before began then.
        """
        free = self._lanes.setdefault((pid, kind), [])
        if free and free[0][0] - begin < _GRAIN_US:
            begin, lane = max(begin, free[0][0]), heapq.heappop(free)[1]
        else:
            lane = self._lanes_seen.get((pid, kind), 0)
            self._lanes_seen[pid, kind] = lane + 1
        end = max(begin, end)
        heapq.heappush(free, (end, lane))
        tid = _LANES[kind] + lane
        if (pid, tid) in self._threads:
            return tid, begin, []
        self._threads.add((pid, tid))
        title = _TITLES[kind]
        return (
            tid,
            begin,
            [
                self._metadata(
                    pid, tid, "thread_name", title if not lane else f"{title} {lane + 1}"
                ),
                self._metadata(pid, tid, "thread_sort_index", tid),
            ],
        )

    def _slice(
        self, pid: int, kind: str, name: str, begin_us: int, end_us: int, args: Event, **more: Any
    ) -> Iterator[Event]:
        tid, begin_us, named = self._lane(pid, kind, begin_us, end_us)
        yield from named
        yield {
            "ph": "X", "name": name, "cat": kind, "pid": pid, "tid": tid, "ts": begin_us,
            "dur": max(0, end_us - begin_us), "args": args, **more,
        }  # fmt: skip

    # ── what happened ────────────────────────────────────────────────────────

    def job(self, job: Job) -> Iterator[Event]:
        """Its wait, if it is known when it began."""
        end = job.admitted_ms or job.ended_ms
        if not job.submitted_ms or end < job.submitted_ms:
            return
        begin_us, end_us = job.submitted_ms * 1000, end * 1000
        args = {"job": job.id, "user": job.user, "state": job.state, "reason": job.reason}
        for event in self._slice(_QUEUE, "wait", f"{job.user} waits", begin_us, end_us, args):
            if event["ph"] == "X":
                self._waits[job.id] = (event["tid"], event["ts"])
            yield event

    def run(self, run: Run) -> Iterator[Event]:
        """A job on a worker, and the arrow to it."""
        self._workers[run.job, run.attempt] = run.worker
        begin = run.started_ms or run.claimed_ms or run.admitted_ms
        if begin is None or not run.worker:
            return
        end = run.ended_ms or begin + int((run.seconds or 0) * 1000)
        yield from self.worker(Worker(id=run.worker, gpu=run.gpu))
        pid = self._pids["worker", run.worker]
        args = {
            "job": run.job, "attempt": run.attempt, "user": run.user, "result": run.result,
            "state": run.state, "reason": run.reason, "reserved_bytes": run.reserved_bytes,
            "peak_reserved": run.peak_reserved, "loads": run.loads,
        }  # fmt: skip
        colour = {"cname": _BAD} if run.state == "FAILED" or run.result == "error" else {}
        name = f"{run.user or 'prompt'} {run.job[:8]}"
        slices = list(self._slice(pid, "run", name, begin * 1000, end * 1000, args, **colour))
        yield from slices
        wait = self._waits.pop(run.job, None)
        if wait is None:
            return
        flow = {"name": "starts", "cat": "start", "id": f"{run.job}-{run.attempt}"}
        yield {"ph": "s", **flow, "pid": _QUEUE, "tid": wait[0], "ts": wait[1]}
        tid, at = slices[-1]["tid"], slices[-1]["ts"]
        yield {"ph": "f", "bp": "e", **flow, "pid": pid, "tid": tid, "ts": at}

    def node(self, node: Node) -> Iterator[Event]:
        """A node of a run."""
        pid = self._pids.get(("worker", self._workers.get((node.job, node.attempt), "")))
        if pid is None:
            return
        args: Event = {
            "node": node.node, "job": node.job, "calls": node.calls, "cached": node.cached,
            "result": node.result, "peak_bytes": node.peak_bytes, "out_bytes": node.out_bytes,
            "fallback": node.fallback, "error": node.error,
        }  # fmt: skip
        colour = _BAD if node.error else _SLOW if node.fallback else _CACHED if node.cached else ""
        more = {"cname": colour} if colour else {}
        begin = node.started_ms * 1000
        end = begin + int(node.seconds * 1_000_000)
        yield from self._slice(pid, "node", node.cls, begin, end, args, **more)

    def move(self, move: Move) -> Iterator[Event]:
        """A model that came or went."""
        pid = self._pids.get(("worker", move.worker))
        if pid is None:
            return
        args = {"bytes": move.bytes, "loaded_bytes": move.loaded_bytes, "job": move.job}
        end = move.at_ms * 1000
        begin = end - int(move.seconds * 1_000_000)
        yield from self._slice(pid, "move", f"{move.what} {move.model}", begin, end, args)

    def memory(self, memory: Memory) -> Iterator[Event]:
        """Counters of a worker."""
        pid = self._pids.get(("worker", memory.worker))
        if pid is None:
            return
        columns = zip(memory.at_ms, memory.allocated, memory.reserved, strict=True)
        for at_ms, allocated, reserved in columns:
            yield _counter(pid, "torch bytes", at_ms, allocated=allocated, reserved=reserved)

    def samples(self, samples: Samples) -> Iterator[Event]:
        """Counters of a GPU."""
        pid = self._pids.get(("gpu", samples.gpu))
        if pid is None:
            return
        for index, at_ms in enumerate(samples.at_ms):
            yield _counter(
                pid,
                "VRAM bytes",
                at_ms,
                foreign=samples.foreign_bytes[index],
                resident=samples.resident_bytes[index],
                reserved=samples.reserved_bytes[index],
                free=samples.free_bytes[index],
            )
            load = samples.utilisation[index] if samples.utilisation else None
            if load is not None:
                yield _counter(pid, "utilisation %", at_ms, load=load * 100)

    def gap(self, gap: Gap) -> Iterator[Event]:
        """Counters keep their last value through a gap: a slice says that it is none."""
        kind, _, name = gap.subject.partition(":")
        pid = self._pids.get((kind, name))
        if pid is None:
            return
        begin = gap.until_ms if gap.from_ms is None else gap.from_ms
        args = {"lost": gap.lost, "why": gap.why}
        yield from self._slice(
            pid, "gap", "no figures", begin * 1000, gap.until_ms * 1000, args, cname=_CACHED
        )

    def queue(self, queue: Queue) -> Iterator[Event]:
        """Counters of the pool."""
        columns = zip(queue.at_ms, queue.queued, queue.running, strict=True)
        for at_ms, queued, running in columns:
            yield _counter(_QUEUE, "jobs", at_ms, queued=queued, running=running)


def _counter(pid: int, name: str, at_ms: int, **values: float) -> Event:
    return {"ph": "C", "name": name, "pid": pid, "tid": 0, "ts": at_ms * 1000, "args": values}


_EVENTS: Final[dict[type, Callable[[ChromeTrace, Any], Iterator[Event]]]] = {
    Gpu: ChromeTrace.gpu,
    Worker: ChromeTrace.worker,
    Job: ChromeTrace.job,
    Run: ChromeTrace.run,
    Node: ChromeTrace.node,
    Move: ChromeTrace.move,
    Memory: ChromeTrace.memory,
    Samples: ChromeTrace.samples,
    Queue: ChromeTrace.queue,
    Gap: ChromeTrace.gap,
}
