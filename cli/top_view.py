"""The pool on a terminal, made of a live page's tables (``dashboard.live_shapes``): pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from cli.cell import cell

Row = Mapping[str, Any]
Rows = Mapping[str, Row]
_GIB: Final = 2**30
_BAR: Final = 20
#: who holds memory, and how it is drawn
_HOLDERS: Final = (
    ("reserved_bytes", "█", "cyan"),
    ("resident_bytes", "▓", "blue"),
    ("foreign_bytes", "▒", "magenta"),
)
_WARM_C: Final = 85
_LONG_WAIT_S: Final = 300


@dataclass(slots=True)
class Pool:
    """The tables as told so far."""

    now_ms: int = 0
    user: str = ""
    role: str = ""
    #: why there are no figures; "": there are
    trouble: str = "waiting for figures"
    tables: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def hear(self, message: Row) -> bool:
        """Take in a message; False: it changes nothing.

        Of a row that is known only what has changed is told.
        """
        match message["type"]:
            case "snapshot":
                self.tables, self.trouble = {}, ""
                self.user, self.role = message["user"], message["role"]
            case "update":
                for name, ids in message["gone"].items():
                    for id_ in ids:
                        self.tables.get(name, {}).pop(id_, None)
            case "unavailable":
                self.trouble = message["message"]
                return True
            case _:
                return False
        self.now_ms = message["now_ms"]
        for name, rows in message["put"].items():
            table = self.tables.setdefault(name, {})
            for id_, row in rows.items():
                table.setdefault(id_, {}).update(row)
        return True

    def rows(self, name: str) -> Rows:
        """A table's rows by id."""
        return self.tables.get(name, {})


def screen(pool: Pool, height: int = 0) -> RenderableType:
    """All of it; ``height``: lines that there are room for, 0: as many as it takes."""
    if pool.trouble:
        return Text(pool.trouble, style="yellow")
    parts: list[RenderableType] = [_headline(pool), Text()]
    parts += [gpu_table(pool.rows("gpus")), Text()]
    left = height - 6 - len(pool.rows("gpus")) if height else 0
    running, waiting = pool.rows("running"), pool.rows("waiting")
    for_running = max(3, left - min(len(waiting), left // 2) - 3) if height else len(running)
    parts += [_running_table(pool, running, for_running), Text()]
    for_waiting = max(3, left - min(len(running), for_running) - 4) if height else len(waiting)
    parts.append(_waiting_table(pool, waiting, for_waiting))
    return Group(*parts)


def _headline(pool: Pool) -> Text:
    told = pool.rows("pool").get("", {})
    users = pool.rows("queue")
    busy = f"{told.get('busy', 0)} of {told.get('workers', 0)} workers busy"
    ended = (
        f"last {told.get('ended_minutes', 0)} min: {told.get('succeeded', 0)} succeeded, "
        f"{told.get('failed', 0)} failed"
    )
    text = Text.assemble(
        ("vramgate  ", "bold"),
        f"{told.get('running', 0)} running, {told.get('queued', 0)} queued   {busy}   {ended}",
    )
    most = sorted(users.items(), key=lambda one: (-one[1]["running"] - one[1]["queued"], one[0]))
    if most:
        told_of = [f"{user} {row['running']}+{row['queued']}" for user, row in most[:8]]
        text.append(f"\nrunning+queued: {'  '.join(told_of)}", style="dim")
    return text


def gpu_table(gpus: Rows) -> Table:
    """Each GPU's memory by who holds it, and its vitals where they are told."""
    # what is cut where there is little room is the name, never the bar
    table = Table(
        Column("GPU", no_wrap=True, overflow="ellipsis", min_width=6),
        Column("host", no_wrap=True, overflow="ellipsis"),
        Column("memory", no_wrap=True, min_width=_BAR),
        *(
            Column(title, no_wrap=True, justify="right", min_width=width)
            for title, width in (("used", 12), ("free", 5), ("busy", 4), ("°C", 3), ("W", 3))
        ),
        "",
        box=None,
    )
    for _, gpu in sorted(gpus.items(), key=lambda one: (one[1]["agent"], one[1]["index"])):
        total, used = gpu["total_bytes"], gpu["total_bytes"] - gpu["free_bytes"]
        busy, warmth, power = (gpu.get(name) for name in ("utilisation", "temperature", "power_mw"))
        table.add_row(
            cell(f"{gpu['index']} {gpu['name']}"),
            cell(gpu["agent"]),
            _bar(gpu),
            f"{used / _GIB:.1f}/{total / _GIB:.0f} GiB",
            f"{gpu['free_bytes'] / _GIB:.1f}",
            "" if busy is None else f"{busy:.0%}",
            Text("" if warmth is None else str(warmth), "red" if (warmth or 0) > _WARM_C else ""),
            "" if power is None else f"{power / 1000:.0f}",
            _gpu_remark(gpu),
        )
    return table


def _bar(gpu: Row) -> Text:
    total = max(1, gpu["total_bytes"])
    bar, room = Text(), _BAR
    for name, sign, color in _HOLDERS:
        length = min(room, round(_BAR * gpu[name] / total))
        bar.append(sign * length, style=color)
        room -= length
    return bar.append("·" * room, style="dim")


def _gpu_remark(gpu: Row) -> Text:
    parts = [
        "silent" if gpu["silent"] else "",
        gpu["state"].lower() if gpu["state"] != "READY" else "",
        f"slowed: {', '.join(gpu['throttled'])}" if gpu.get("throttled") else "",
        gpu.get("trouble", ""),
    ]
    return Text(", ".join(part for part in parts if part), style="red")


def worker_table(workers: Rows) -> Table:
    """Each worker and what it does."""
    table = Table("worker", "GPU", "does", "holds", "promised", box=None)
    for id_, worker in sorted(workers.items()):
        does = f"job of {worker['user']}" if worker["busy"] else worker["state"].lower()
        table.add_row(
            cell(id_),
            cell(worker["gpu"]),
            "silent" if worker["silent"] else does,
            f"{worker['used_bytes'] / _GIB:.1f} GiB",
            f"{worker['reserved_bytes'] / _GIB:.1f} GiB" if worker["reserved_bytes"] else "",
        )
    return table


def _running_table(pool: Pool, running: Rows, most: int) -> Table:
    table = Table(
        "running", "user", "worker", "since", "node", "", "of the graph", box=None, title_style=""
    )
    at = pool.rows("progress")
    for id_, job in list(running.items())[:most]:
        stands = at.get(id_, {})
        table.add_row(
            cell(job["prompt_id"][:8]),
            job["user"],
            cell(job["worker"]),
            _span(pool.now_ms - job["since_ms"]),
            cell(stands.get("class_type") or stands.get("node", "")),
            _steps(stands),
            f"{stands['done']}/{stands['nodes']}" if stands.get("nodes") else "",
        )
    _tell_rest(table, len(running) - most)
    return table


def _steps(stands: Row) -> str:
    most = stands.get("most") or 0
    if not most:
        return ""
    share = min(1.0, stands["value"] / most)
    return f"{'━' * round(10 * share)}{'─' * (10 - round(10 * share))} {stands['value']:g}/{most:g}"


def _waiting_table(pool: Pool, waiting: Rows, most: int) -> Table:
    table = Table("waiting", "user", "since", "why", "starts in", box=None)
    for job in list(waiting.values())[:most]:
        age_ms = pool.now_ms - job["since_ms"]
        why = ": ".join(part for part in (job["wait_reason"], job["wait_detail"]) if part)
        table.add_row(
            cell(job["prompt_id"][:8]),
            job["user"],
            Text(_span(age_ms), style="red" if age_ms > _LONG_WAIT_S * 1000 else ""),
            cell(why),
            _outlook(job, pool.now_ms),
        )
    _tell_rest(table, len(waiting) - most)
    return table


def _outlook(job: Row, now_ms: int) -> str:
    if not job["start_p50_ms"]:
        return ""
    likely, late = (_span(job[name] - now_ms) for name in ("start_p50_ms", "start_p90_ms"))
    return likely if likely == late else f"{likely} … {late}"


def _tell_rest(table: Table, count: int) -> None:
    if count > 0:
        table.add_row(f"… {count} more", *[""] * (len(table.columns) - 1), style="dim")


def _span(ms: int) -> str:
    seconds = max(0, ms) // 1000
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
