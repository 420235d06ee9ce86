"""A season's alerts, advice, audit, questions, models and curves, as rows of the store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Final

from sqlalchemy import Table

from bench.history_rows import GIB, HOUR_MS, Row, Season
from config.alert_rules import DEFAULTS
from dashboard.advice.body import found_of
from dashboard.advice.finding import (
    About,
    Chart,
    Dots,
    Effect,
    Figure,
    Finding,
    Gain,
    Proof,
    What,
    Witness,
)
from store import advice_schema, alert_schema
from store import history_schema as history

#: how many there are: some years of a busy studio's
_ALERTS: Final = 20_000
_FIRING: Final = 40
_MESSAGES: Final = 10_000
_SILENCES: Final = 200
_DEEDS: Final = 100_000
_ADVICE: Final = 1_000
_WHAT_IFS: Final = 100
_CURVE_HOURS: Final = 2
_DEED_WORDS: Final = ("view", "view", "view", "view", "limit", "cancel", "hold", "export", "login")
#: the audit's rarest
SELDOM: Final = "forget"


def all_rows(season: Season) -> Iterator[tuple[Table, Iterator[Row]]]:
    """By table."""
    yield history.alerts, _alerts(season)
    yield alert_schema.alert_states, _states(season)
    yield alert_schema.alert_rules, _rules(season)
    yield alert_schema.alert_messages, _messages(season)
    yield history.silences, _silences(season)
    yield history.audit, _deeds(season)
    yield advice_schema.advice, _advice(season)
    yield advice_schema.advice_users, _concerned(season)
    yield history.what_ifs, _what_ifs(season)
    yield history.model_moves, _moves(season)
    yield history.curves, _curves(season)


def alert_id(number: int) -> str:
    """Of one of them; the last ``_FIRING`` fire."""
    return f"alert-{number % _ALERTS:06d}"


def advice_id(number: int) -> str:
    """Of one of them; the first hold."""
    return f"advice-{number % _ADVICE:04d}"


def _names() -> list[str]:
    return [rule.name for rule in DEFAULTS]


def _alerts(season: Season) -> Iterator[Row]:
    rng, names = Random(11), _names()
    step = (season.until_ms - season.from_ms) // _ALERTS
    for number in range(_ALERTS):
        since_ms = season.from_ms + number * step
        firing = number >= _ALERTS - _FIRING
        yield {
            "id": alert_id(number), "rule": names[number % len(names)],
            "subject": f"job:{rng.getrandbits(128):032x}", "user_name": _user(rng, season),
            "since_ms": since_ms, "ended_ms": None if firing else since_ms + 60_000,
            "value": 7.5, "threshold": 5.0, "detail": json.dumps({"node": "VAEDecode"}),
            "severity": "warning", "group_name": "", "began_ms": since_ms - 5000,
            "worst": 9.0, "muted": "",
        }  # fmt: skip


def _states(season: Season) -> Iterator[Row]:
    rng = Random(12)
    for number, name in enumerate(_names()):
        for each in range(10):
            yield {
                "rule": name, "subject": f"gpu:GPU-{each:04d}", "user_name": _user(rng, season),
                "phase": "pending" if each % 2 else "firing",
                "since_ms": season.until_ms - 90_000, "fired_ms": 0 if each % 2 else 1,
                "true_ms": season.until_ms, "alert": "" if each % 2 else alert_id(-1 - number),
                "value": 7.0, "worst": 8.0,
            }  # fmt: skip


def _rules(season: Season) -> Iterator[Row]:
    for name in _names():
        yield {
            "rule": name, "at_ms": season.until_ms, "value": 7.0, "subject": "gpu:GPU-0001",
            "threshold": 5.0, "seen": 8, "pending": 5, "firing": 5, "enabled": True,
            "severity": "warning",
        }  # fmt: skip


def _messages(season: Season) -> Iterator[Row]:
    body = json.dumps({"title": "A node takes long", "alerts": ["x" * 200] * 3})
    for number in range(_MESSAGES):
        made_ms = season.until_ms - number * 60_000
        yield {
            "id": f"message-{number:06d}", "receiver": "studio", "made_ms": made_ms,
            "next_ms": made_ms, "tries": 1, "done_ms": made_ms + 900, "result": "sent",
            "error": "", "body": body,
        }  # fmt: skip


def _silences(season: Season) -> Iterator[Row]:
    for number in range(_SILENCES):
        from_ms = season.from_ms + number * 9 * HOUR_MS
        yield {
            "id": f"silence-{number:04d}", "rule": "*", "subject": "gpu:*", "from_ms": from_ms,
            "until_ms": from_ms + HOUR_MS, "by_user": "root", "why": "paste is renewed",
        }  # fmt: skip


def _deeds(season: Season) -> Iterator[Row]:
    rng = Random(13)
    step = (season.until_ms - season.from_ms) // _DEEDS
    for number in range(_DEEDS):
        user = _user(rng, season)
        # the rarest lie at the far end: whoever looks for them reads past all others
        action = SELDOM if number < 3 else _DEED_WORDS[number % len(_DEED_WORDS)]
        yield {
            "id": f"deed-{number:07d}", "at_ms": season.from_ms + number * step,
            "by_user": f"admin-{number % 4}", "action": action, "subject": f"user:{user}",
            "detail": json.dumps({"user": user}),
        }  # fmt: skip


def _advice(season: Season) -> Iterator[Row]:
    for number in range(_ADVICE):
        since_ms = season.until_ms - number * HOUR_MS
        found = found_of(_finding(season, number))
        yield {
            "id": advice_id(number), "kind": found.kind, "since_ms": since_ms,
            "found_ms": since_ms + HOUR_MS, "ended_ms": None if number < 200 else since_ms,
            "place": number, "gain": found.gain, "gain_low": found.gain_low,
            "gain_high": found.gain_high, "body": json.dumps(dict(found.body)),
        }  # fmt: skip


def _finding(season: Season, number: int) -> Finding:
    users = tuple(f"user-{(number + each) % season.users}" for each in range(3))
    jobs = tuple(Witness(f"{number + n:032x}", users[n % 3], season.until_ms, "") for n in range(8))
    return Finding(
        kind=f"kind-{number % 9}",
        subject=f"subject-{number}",
        title="VAE decode falls back to tiles",
        cause="Its worker has too little memory left. " * 5,
        remedies=("Reserve more.", "Lower the resolution."),
        gain=Gain(What.GPU_TIME, 1000.0 - number, 10.0, 2000.0),
        effect=Effect(8.0, 6.0, 9.0, "×"),
        proof=Proof("Mann-Whitney", 0.0001, 40, 400),
        figures=tuple(Figure(f"figure {n}", 1.5 * n, "s") for n in range(6)),
        charts=(Chart("Runs", "s", (Dots("slow", (1.5,) * 60), Dots("quick", (0.5,) * 60))),),
        jobs=jobs,
        about=About(fingerprints=(f"fp-{number % season.workflows:04d}",)),
        users=users,
    )


def _concerned(season: Season) -> Iterator[Row]:
    for number in range(_ADVICE):
        for each in range(3):
            user = f"user-{(number + each) % season.users}"
            yield {"advice_id": advice_id(number), "user_name": user}


def _what_ifs(season: Season) -> Iterator[Row]:
    rows = [{"name": f"user-{n}", "before": n, "after": n} for n in range(200)]
    for number in range(_WHAT_IFS):
        asked_ms = season.until_ms - number * 24 * HOUR_MS
        yield {
            "id": f"what-if-{number:03d}", "asked_ms": asked_ms, "by_user": "root",
            "from_ms": asked_ms - 24 * HOUR_MS, "until_ms": asked_ms,
            "change": json.dumps({"gpus": {"add": 1}}), "rules": json.dumps({"groups": rows}),
            "state": "done", "started_ms": asked_ms, "ended_ms": asked_ms + 9000,
            "result": json.dumps({"users": rows}), "problem": None,
        }  # fmt: skip


def _moves(season: Season) -> Iterator[Row]:
    rng = Random(14)
    step = (season.until_ms - season.from_ms) // season.jobs
    for number in range(2 * season.jobs):
        yield {
            "worker": f"host-{number % (2 * season.gpus)}", "boot": "b", "seq": number,
            "at_ms": season.from_ms + number // 2 * step, "job_id": "", "attempt": 0,
            "user_name": _user(rng, season), "node": "4",
            "what": "unload" if number % 2 else "load", "model": f"model-{number % 12}",
            "bytes": 6 * GIB, "loaded_bytes": 6 * GIB, "seconds": 3.0,
        }  # fmt: skip


def _curves(season: Season) -> Iterator[Row]:
    points = json.dumps([[ms, GIB, 2 * GIB, 20 * GIB] for ms in range(0, 1000, 100)])
    for at_ms in range(season.until_ms - _CURVE_HOURS * HOUR_MS, season.until_ms, 1000):
        for number in range(2 * season.gpus):
            yield {"worker": f"host-{number}", "at_ms": at_ms, "points": points}


def _user(rng: Random, season: Season) -> str:
    return f"user-{int(rng.paretovariate(1.0)) % season.users}"
