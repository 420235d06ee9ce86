"""Where running jobs stand, as agents tell it."""

from __future__ import annotations

from typing import Any

from gateway.standings import Standings
from scheduler.live import LiveFrame


def frame(type_: str = "", data: Any = None, **changes: Any) -> LiveFrame:
    fields: dict[str, Any] = {"user": "ann", "job": "j", "attempt": 1}
    message = {"type": type_, "data": data} if type_ else None
    return LiveFrame(**(fields | {"message": message} | changes))


def states(**nodes: tuple[str, float, float]) -> dict[str, Any]:
    told = {
        id_: {"state": state, "value": value, "max": most, "display_node_id": id_.strip("n")}
        for id_, (state, value, most) in nodes.items()
    }
    return {"prompt_id": "p", "nodes": told}


def test_the_node_that_runs_is_told_with_how_far_it_is_and_since_when() -> None:
    now = [10.0]
    standings = Standings(lambda: now[0])
    standings.take("host", frame("executing", {"node": "3", "prompt_id": "p"}))
    now[0] = 12.0
    progress = states(n1=("finished", 1, 1), n3=("running", 5, 20))
    standings.take("host", frame("progress_state", progress))
    (at,) = standings.standings().values()
    assert (at.node, at.value, at.most, at.done, at.since_ms) == ("3", 5.0, 20.0, 1, 10_000)


def test_an_attempt_that_is_over_or_whose_agent_is_lost_stands_nowhere() -> None:
    standings = Standings(lambda: 1.0)
    for job in ("ends", "closed", "lost"):
        standings.take(job, frame("executing", {"node": "3"}, job=job))
    standings.take("ends", frame(job="ends", end=True))
    standings.close("closed", 1)
    standings.lost("lost")
    assert standings.standings() == {}


def test_a_later_attempt_begins_anew() -> None:
    standings = Standings(lambda: 1.0)
    standings.take("host", frame("progress_state", states(n3=("running", 5, 20))))
    standings.take("host", frame("executing", {"node": "1"}, attempt=2))
    at = standings.standings()["j"]
    assert (at.node, at.value, at.done) == ("1", 0.0, 0)
    standings.close("j", 1)
    assert "j" in standings.standings()


def test_what_a_node_pack_makes_up_is_no_figure() -> None:
    standings = Standings(lambda: 1.0)
    standings.take("host", frame("progress_state", states(n3=("running", float("nan"), 1e300))))
    standings.take("host", frame("progress_state", {"nodes": {"3": "?"}}))
    standings.take("host", frame("executing", ["?"]))
    assert {(at.value, at.most) for at in standings.standings().values()} == {(0.0, 0.0)}
