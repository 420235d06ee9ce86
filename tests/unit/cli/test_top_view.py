"""What a terminal shows of the pool, from what a live page is told."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from cli.top_view import Pool, screen

GPU: dict[str, Any] = {
    "name": "H200", "agent": "studio1", "index": 0, "state": "READY", "memory_source": "nvml",
    "silent": False, "total_bytes": 24 * 2**30, "foreign_bytes": 2 * 2**30,
    "resident_bytes": 4 * 2**30, "reserved_bytes": 12 * 2**30, "free_bytes": 6 * 2**30,
    "utilisation": 0.5, "temperature": 91, "power_mw": 350_000, "throttled": ["hw_thermal"],
    "trouble": "",
}  # fmt: skip
JOB: dict[str, Any] = {
    "prompt_id": "12345678-abcd", "user": "anna", "state": "RUNNING", "wait_reason": "",
    "wait_detail": "", "worker": "studio1-0", "since_ms": 10_000, "start_p50_ms": 0,
    "start_p90_ms": 0,
}  # fmt: skip
WAITS = JOB | {
    "prompt_id": "87654321-abcd",
    "wait_reason": "no_headroom",
    "wait_detail": "needs 20 GiB, 6 are free",
    "start_p50_ms": 100_000,
    "start_p90_ms": 160_000,
}
SNAPSHOT: dict[str, Any] = {
    "type": "snapshot", "version": 1, "now_ms": 40_000, "user": "ada", "role": "admin",
    "put": {
        "pool": {"": {"queued": 1, "running": 1, "workers": 2, "busy": 1}},
        "queue": {"anna": {"queued": 1, "running": 1}},
        "gpus": {"g": GPU},
        "running": {"j1": JOB},
        "waiting": {"j2": WAITS},
        "progress": {
            "j1": {"node": "3", "class_type": "KSampler", "value": 5, "most": 20, "done": 2,
                   "nodes": 7}
        },
    },
}  # fmt: skip


def shown(pool: Pool, height: int = 0, width: int = 140) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(screen(pool, height))
    return out.getvalue()


def test_it_shows_memory_nodes_and_what_keeps_whom() -> None:
    pool = Pool()
    assert "waiting for figures" in shown(pool)
    assert pool.hear(SNAPSHOT)
    text = shown(pool)
    for words in (
        "1 running, 1 queued", "1 of 2 workers busy", "anna 1+1", "0 H200", "18.0/24 GiB",
        "6.0", "50%", "91", "350", "slowed: hw_thermal", "KSampler", "5/20", "2/7",
        "needs 20 GiB", "1 min 0 s … 2 min 0 s", "30 s",
    ):  # fmt: skip
        assert words in text, (words, text)
    assert "█" * 10 in text
    assert "·" * 5 in text


def test_of_a_row_that_is_known_only_the_change_is_told() -> None:
    pool = Pool()
    pool.hear(SNAPSHOT)
    update = {
        "type": "update",
        "version": 2,
        "now_ms": 41_000,
        "put": {"running": {"j1": {"worker": "studio1-1"}}},
        "gone": {"waiting": ["j2"], "progress": ["j1"], "nothing": ["x"]},
    }
    assert pool.hear(update)
    text = shown(pool)
    assert "studio1-1" in text
    assert "anna" in text
    assert "87654321" not in text
    assert "KSampler" not in text
    assert not pool.hear({"type": "still"})


def test_without_figures_it_says_so_and_starts_anew_when_they_come() -> None:
    pool = Pool()
    pool.hear(SNAPSHOT)
    told = {"type": "unavailable", "user": "a", "role": "admin", "message": "Redis is away"}
    assert pool.hear(told)
    assert "Redis is away" in shown(pool)
    pool.hear(SNAPSHOT | {"put": {}})
    assert "anna" not in shown(pool)


def test_a_small_terminal_gets_what_fits_and_a_count_of_the_rest() -> None:
    pool = Pool()
    many = {f"j{n}": WAITS | {"prompt_id": f"{n:08}"} for n in range(100)}
    pool.hear(SNAPSHOT | {"put": SNAPSHOT["put"] | {"waiting": many}})
    text = shown(pool, height=24)
    assert len(text.splitlines()) <= 24
    assert "more" in text
    assert "KSampler" in text


def test_where_there_is_little_room_the_bar_stays_whole() -> None:
    pool = Pool()
    pool.hear(SNAPSHOT | {"put": {"gpus": {"g": GPU | {"name": "A GPU with a long name"}}}})
    text = shown(pool, width=80)
    assert f"{'█' * 10}{'▓' * 3}{'▒' * 2}{'·' * 5}" in text
    assert "18.0/24 GiB" in text


def test_an_id_that_is_markup_to_a_terminal_is_shown_as_it_is() -> None:
    pool = Pool()
    pool.hear(SNAPSHOT)
    odd = {"prompt_id": "[/bold]", "wait_detail": "[red]\x1b[2Jgone"}
    pool.hear(
        {
            "type": "update",
            "version": 2,
            "now_ms": 41_000,
            "put": {
                "running": {"j1": odd},
                "waiting": {"j2": odd},
                "progress": {"j1": {"class_type": "", "node": "[/x]"}},
            },
            "gone": {},
        }
    )
    text = shown(pool)
    assert "[/bold]" in text
    assert "[/x]" in text
    assert "[red]?[2Jgone" in text
