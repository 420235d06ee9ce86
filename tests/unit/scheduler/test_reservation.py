"""How many bytes a job is promised: the curve where a worker keeps to it, the peak elsewhere."""

from __future__ import annotations

from scheduler.decisions import Admit, Reserve
from scheduler.policy import plan
from scheduler.reservation import bearable, choose_step, worthwhile
from scheduler.scene import Scene
from scheduler.states import Job, MemoryLimit, Step
from tests.pools import GIB, config, gpu, job, running, snapshot, worker

#: as measured of SDXL x4: 18.6 GiB if it may, 12 % longer in 10.6, three times as long in 6.6
CURVE = (Step(int(6.6 * GIB), 7.2), Step(int(10.6 * GIB), 3.0))


def batch(name: str, user: str = "ann") -> Job:
    return job(name, user, need=18.6, need_seconds=2.65, curve=CURVE, load_seconds=5.0)


def told(name: str, **changes):
    return worker(name, limit=MemoryLimit.TOLD, **changes)


def bytes_of(pool) -> dict[str, float]:
    made = plan(pool, pool.now_ms, config(cold_loads=4))
    return {d.job.id: round(d.grant.bytes / GIB, 1) for d in made.decisions if isinstance(d, Admit)}


WARM = ("checkpoints/a",)


def test_alone_it_gets_its_comfortable_peak() -> None:
    pool = snapshot([gpu()], [told("w0", models=WARM), told("w1", models=WARM)], [batch("j")])
    assert bytes_of(pool) == {"j": 18.6}


def test_two_get_less_each_so_that_both_run() -> None:
    workers = [told("w0", models=WARM), told("w1", models=WARM)]
    pool = snapshot([gpu()], workers, [batch("j"), batch("k", "bob")])
    assert bytes_of(pool) == {"j": 10.6, "k": 10.6}


def test_where_nothing_keeps_it_there_it_gets_what_it_would_take() -> None:
    pool = snapshot([gpu()], [worker("w0", models=WARM)], [batch("j"), batch("k", "bob")])
    assert bytes_of(pool) == {"j": 18.6}


def test_told_no_limit_other_models_beside_its_own_are_counted_too() -> None:
    both = ("checkpoints/a", "checkpoints/b")
    one = job("j", need=9.5, models=WARM, model_bytes=(6 * GIB,))
    alone = [worker("w0", used=9.5, models=WARM), worker("w1")]
    beside = [worker("w0", used=13.5, models=both), worker("w1")]
    assert bytes_of(snapshot([gpu(used=9.5)], alone, [one])) == {"j": 9.5}
    assert bytes_of(snapshot([gpu(used=13.5)], beside, [one])) == {"j": 15.5}


def test_a_step_that_costs_more_than_sharing_gains_is_not_worthwhile() -> None:
    assert worthwhile(batch("j"), 0)[0].bytes == CURVE[0].bytes
    assert worthwhile(batch("j"), 1)[0].bytes == CURVE[1].bytes
    assert worthwhile(batch("j"), 2)[0].bytes == CURVE[1].bytes
    assert [step.seconds for step in worthwhile(batch("j"), 3)] == [2.65]


def test_another_lora_on_the_same_checkpoint_is_no_other_model() -> None:
    used = worker("w0", used=12, models=("loras/old", "checkpoints/a"))
    new = job("j", need=10, models=("checkpoints/a", "loras/new"))
    pool = snapshot([gpu(used=12)], [used, worker("w1")], [new])
    assert bytes_of(pool) == {"j": 10.0}


def test_beside_another_it_waits_rather_than_crawl() -> None:
    busy = told("w0", used=16, reserved=16, job="x")
    pool = snapshot(
        [gpu(used=16)],
        [busy, told("w1", models=WARM)],
        [batch("j")],
        active=[running("x")],
    )
    assert bytes_of(pool) == {}


def test_what_lies_between_two_steps_is_not_held() -> None:
    pool = snapshot([gpu(total=16)], [told("w0", models=WARM)], [])
    scene = Scene(pool, pool.now_ms, config())
    step = choose_step(batch("j"), scene.room.seats["w0"], 16 * GIB, [])
    assert step.bytes == CURVE[1].bytes


def test_no_job_crawls_so_that_a_neighbour_may_have_more() -> None:
    """With 6.6 GiB it would leave 12 to others, and run at two fifths of its speed for that."""
    curve = (Step(int(6.6 * GIB), 6.8), Step(int(10.6 * GIB), 3.2))
    mine = job("j", need=18.6, need_seconds=2.65, curve=curve)
    busy = told("w1", used=8, reserved=8, job="x", models=WARM)
    workers = [told("w0", models=WARM), busy, told("w2")]
    pool = snapshot([gpu(total=19, used=8)], workers, [], active=[running("x")])
    seat = Scene(pool, pool.now_ms, config()).room.seats["w0"]
    step = choose_step(mine, seat, 11 * GIB, [job("k", "bob", need=12, need_seconds=2)])
    assert step == curve[1]


def test_alone_on_a_small_gpu_it_may_crawl() -> None:
    pool = snapshot([gpu(total=9)], [told("w0", models=WARM), told("w1")], [batch("j")])
    assert bytes_of(pool) == {"j": 6.6}


#: less than twice as long beside another, more than sharing gains
BEARABLE = (Step(9 * GIB, 4.5),)


def kept(**changes) -> list[str]:
    """Whose place is kept while ``x`` leaves 10 GiB on a GPU with two told workers."""
    waiting = job("j", need=14, need_seconds=2.65, curve=BEARABLE, **changes)
    workers = [told("w0", used=13, reserved=13, job="x"), told("w1", models=WARM)]
    pool = snapshot([gpu(used=13)], workers, [waiting], active=[running("x")])
    made = plan(pool, pool.now_ms, config())
    assert not [d for d in made.decisions if isinstance(d, Admit)]
    return [d.job.id for d in made.decisions if isinstance(d, Reserve)]


def test_no_gpu_is_emptied_for_a_job_that_could_bear_what_is_free() -> None:
    waiting = job("j", need=14, need_seconds=2.65, curve=BEARABLE)
    assert bearable(waiting, 1)[0] == BEARABLE[0]
    assert worthwhile(waiting, 1)[0].bytes == 14 * GIB
    assert kept() == []


def test_who_has_waited_too_long_is_given_what_it_may_start_with() -> None:
    assert kept(skips=64) == ["j"]


def test_what_costs_no_time_is_left_to_who_waits() -> None:
    """9.5 GiB are as fast as 10.1; with them a third worker has room for a small job."""
    lean = job("j", need=10.1, need_seconds=1.8, curve=(Step(int(9.5 * GIB), 1.8),))
    pool = snapshot([gpu()], [told("w0", models=WARM), told("w1"), told("w2")], [])
    seat = Scene(pool, pool.now_ms, config()).room.seats["w0"]
    waiting = [job("k", "bob", need=3, need_seconds=1)]
    assert choose_step(lean, seat, lean.need_bytes, waiting).bytes == int(9.5 * GIB)
    assert choose_step(lean, seat, lean.need_bytes, []).bytes == lean.need_bytes
