"""What one person's live page shows of the pool."""

from __future__ import annotations

import json
from dataclasses import replace

from config.settings import Role
from dashboard.live_rows import LiveRows
from dashboard.sample import Closed, Sample, condense
from scheduler.live import Standing
from tests.pools import gpu, job, running, snapshot, worker


def sample() -> Sample:
    mine, theirs = running("j-mine", "w0", "ann"), running("j-theirs", "w1", "bob")
    workers = [worker("w0", job="j-mine"), worker("w1", job="j-theirs", models=("bobs.ckpt",))]
    waiting = replace(job("j-waits", "ann"), wait_blocker="j-theirs")
    return condense(snapshot([gpu()], workers, [waiting], active=[mine, theirs]), {}, 10.0)


STANDINGS = {
    "j-mine": Standing(node="3", class_type="KSampler", value=4, most=20),
    "j-theirs": Standing(node="7", class_type="SecretOfBob"),
}


def test_an_artist_sees_no_other_name_job_model_or_node() -> None:
    tables = LiveRows("ann", Role.ARTIST).tables(sample(), STANDINGS)
    told = json.dumps(tables)
    assert not [word for word in ("bob", "j-theirs", "SecretOfBob", "ckpt") if word in told]
    assert list(tables["running"]) == ["j-mine"]
    assert tables["progress"]["j-mine"]["class_type"] == "KSampler"
    assert tables["workers"]["w1"]["user"] == "others"
    assert tables["pool"][""]["running"] == 2


def test_an_admin_sees_who_runs_what_and_what_is_in_whose_way() -> None:
    tables = LiveRows("ada", Role.ADMIN).tables(sample(), STANDINGS)
    assert {row["user"] for row in tables["running"].values()} == {"ann", "bob"}
    assert tables["waiting"]["j-waits"]["blocker"] == "j-theirs"
    assert set(tables["progress"]) == {"j-mine", "j-theirs"}


def test_rows_that_are_as_they_were_are_the_same_objects() -> None:
    rows = LiveRows("ann", Role.ARTIST)
    first, second = rows.tables(sample(), STANDINGS), rows.tables(sample(), STANDINGS)
    for name in ("running", "waiting", "gpus", "workers", "progress"):
        assert all(first[name][id_] is row for id_, row in second[name].items())


def test_everybody_is_told_that_nothing_new_starts() -> None:
    closed = replace(sample(), closed=Closed(why="new disks", until_ms=5))
    for role in Role:
        row = LiveRows("ann", role).tables(closed, {})["pool"][""]
        assert (row["closed"], row["closed_why"], row["closed_until_ms"]) == (True, "new disks", 5)
    assert LiveRows("ann", Role.ARTIST).tables(sample(), {})["pool"][""]["closed"] is False
    assert closed != sample()
