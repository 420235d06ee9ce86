from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from tests.comfy_stand_in.bench import Bench, make, node, of
from tests.comfy_stand_in.values import VERSIONS, Tensor
from worker_agent.probe import writer as module
from worker_agent.probe.ring import Ring
from worker_agent.probe.settings import Redaction
from worker_agent.probe.writer import Writer

NEWEST = VERSIONS[-1]


def writer(ring: Ring) -> Writer:
    return Writer(ring, lambda class_type: (), Redaction(), None)


def test_notes_that_find_no_room_are_counted_and_told_as_a_gap() -> None:
    ring = Ring("boot")
    made = writer(ring)
    for _ in range(module.MOST + 7):
        made.tell({"kind": "sample", "at": 0.0})
    assert made.drain() == module.MOST
    assert ring.after(ring.last - 1, 1)[0]["lost"] == 7
    made.tell({"kind": "sample", "at": 0.0})
    made.drain()
    assert ring.after(ring.last - 1, 1)[0]["kind"] == "sample"


def test_a_note_that_cannot_become_a_record_is_told_and_the_next_is_written() -> None:
    ring = Ring("boot")
    made = writer(ring)
    failed: list[str] = []
    made.start(lambda where, error: failed.append(where))
    made.put("node", None, None)
    made.tell({"kind": "sample", "at": 0.0})
    made.stop()
    assert failed == ["record of a node"]
    assert ring.last == 1


def test_stopping_writes_what_waits() -> None:
    ring = Ring("boot")
    made = writer(ring)
    made.start(lambda where, error: None)
    made.tell({"kind": "sample", "at": 0.0})
    made.stop()
    assert ring.last == 1


def test_two_who_drain_at_once_keep_the_order() -> None:
    ring = Ring("boot", 100_000)
    made = writer(ring)
    for number in range(20_000):
        made.tell({"kind": "sample", "at": float(number)})
    both = [threading.Thread(target=made.drain) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    ats = [one["at"] for one in ring.after(0, 100_000)]
    assert ats == sorted(ats)
    assert len(ats) == 20_000


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([[{"samples": Tensor(1, 4, 8, 8)}]], {"shape": [1, 4, 8, 8], "dtype": "float32"}),
        ([[Tensor(2), Tensor(3)]], [{"shape": [n], "dtype": "float32"} for n in (2, 3)]),
        ([[0.5]], 0.5),
        (
            [[[(Tensor(2), {"more": [Tensor(3)]})]]],
            [{"shape": [n], "dtype": "float32"} for n in (2, 3)],
        ),
    ],
)
def test_shapes_are_found_in_whatever_packs_hand_on(value: Any, told: Any) -> None:
    records = Bench(NEWEST, Odd=lambda **_: value).run({"1": node("Odd")})
    assert records[0]["outputs"] == {"IMAGE": told}


def test_what_is_no_tensor_and_no_scalar_is_left_out() -> None:
    records = Bench(NEWEST, Odd=lambda **_: [[object()], [None], []]).run({"1": node("Odd")})
    assert records[0]["outputs"] == {}


def test_a_loop_in_an_output_ends() -> None:
    loop: list[Any] = [Tensor(1)]
    loop.append(loop)
    records = Bench(NEWEST, Loop=lambda **_: [loop]).run({"1": node("Loop")})
    assert records[0]["out_bytes"] > 0


def test_a_million_points_in_lists_of_lists_are_not_all_looked_at() -> None:
    looked: list[int] = []

    class Points(list[Any]):
        def __iter__(self) -> Any:
            for item in list.__iter__(self):
                looked.append(1)
                yield item

    deep = Points([Points([Points(range(50)) for _ in range(50)]) for _ in range(50)])
    Bench(NEWEST, Pose=lambda **_: [[deep]]).run({"1": node("Pose")})
    assert len(looked) < 20_000


def test_ten_thousand_tensors_in_one_output_are_a_short_record() -> None:
    many = [[Tensor(1) for _ in range(10_000)]]
    records = Bench(NEWEST, Many=lambda **_: many).run({"1": node("Many")})
    assert len(json.dumps(records[0])) < 2_000


def test_texts_of_a_prompt_are_not_in_its_records_and_numbers_are() -> None:
    inputs = {"text": "a secret", "seed": 7, "api_key": "sk-1", "curve": {"points": "a secret"}}
    records = Bench(NEWEST, Make=make).run({"1": node("Make", **inputs)})
    told = records[0]["inputs"]
    assert told["seed"] == 7
    assert set(told) == {"text", "seed"}
    assert "secret" not in json.dumps(records)


def test_other_rules_hold_from_the_next_prompt_on() -> None:
    bench = Bench(NEWEST, Make=make)
    bench.probe.change({"redact": {"texts": "keep", "inputs": ["seed"]}})
    records = bench.run({"1": node("Make", text="shown", seed=7)})
    assert records[0]["inputs"] == {"text": "shown"}


def test_every_record_is_json_with_the_fields_that_all_have() -> None:
    records = Bench(NEWEST, Make=make).run({"1": node("Make", a=float("nan"))})
    for record in records:
        assert {"seq", "kind", "at"} <= set(record)
        json.dumps(record, allow_nan=False)


def test_a_sample_says_whose_prompt_runs() -> None:
    bench: Bench

    def sampled(**_: Any) -> list[Any]:
        bench.probe._sample()
        return make()

    bench = Bench(NEWEST, Sampled=sampled)
    bench.card.take(30)
    (sample,) = of(bench.run({"1": node("Sampled")}), "sample")
    assert (sample["prompt"], sample["allocated"], sample["device_free"]) == ("p", 30, 9_970)
    assert sample["limit"] is None
