from __future__ import annotations

from tests.worlds import Scene, played


def order(scene: Scene, policy: str, **pool: int) -> list[str]:
    return [name for name, _, _ in played(scene, policy, **pool)]


def test_round_robin_gives_each_worker_its_jobs_whoever_is_idle() -> None:
    scene = (
        Scene()
        .job("long", 0, run=100, load=0)
        .job("short", 0, run=1, load=0)
        .job("behind", 1, run=1, load=0)
        .job("lucky", 1, run=1, load=0)
    )
    # the third job belongs to the first worker, though the second one is idle from 1 s on
    assert played(scene, "round-robin", gpus=2) == [
        ("long", 0.0, "n0000-0"),
        ("short", 0.0, "n0001-0"),
        ("lucky", 1.0, "n0001-0"),
        ("behind", 100.0, "n0000-0"),
    ]


def test_fair_lets_the_user_who_got_least_go_next() -> None:
    scene = Scene()
    for n in range(4):
        scene.job(f"ann{n}", 0, user="ann", load=0)
    scene.job("bob0", 1, user="bob", load=0).job("bob1", 1, user="bob", load=0)
    assert order(scene, "fifo") == ["ann0", "ann1", "ann2", "ann3", "bob0", "bob1"]
    assert order(scene, "fair") == ["ann0", "bob0", "ann1", "bob1", "ann2", "ann3"]


def test_affinity_lets_a_loaded_model_pass_the_head() -> None:
    scene = (
        Scene()
        .job("now", 0, user="ann", model="a")
        .job("cold", 1, user="bob", model="b")
        .job("warm", 2, user="cem", model="a")
    )
    assert order(scene, "fair") == ["now", "cold", "warm"]
    assert order(scene, "fair-affinity") == ["now", "warm", "cold"]


def test_a_head_is_passed_64_times_at_most() -> None:
    scene = Scene().job("now", 0, user="u", model="a", run=1, load=0)
    scene.job("cold", 0.5, user="bob", model="b", load=0)
    for n in range(80):
        scene.job(f"warm{n}", 0.6, user=f"u{n:02}", model="a", run=1, load=0)
    assert order(scene, "fair-affinity").index("cold") == 1 + 64


def test_a_head_is_passed_for_ten_minutes_at_most() -> None:
    scene = Scene().job("now", 0, user="u", model="a", run=1, load=0)
    scene.job("cold", 0.5, user="bob", model="b", load=0)
    for n in range(20):
        scene.job(f"warm{n}", 0.6, user=f"u{n:02}", model="a", run=60, load=0)
    starts = {name: at for name, at, _ in played(scene, "fair-affinity")}
    assert 600 < starts["cold"] <= 600.5 + 60


def test_the_oracle_runs_the_shortest_first_and_counts_loading() -> None:
    scene = (
        Scene()
        .job("now", 0, model="a", run=10, load=0)
        .job("warm", 1, model="a", run=12, load=30)
        .job("short but cold", 1, user="bob", model="b", run=5, load=30)
        .job("shortest", 2, user="cem", model="a", run=4, load=30)
    )
    assert order(scene, "oracle") == ["now", "shortest", "warm", "short but cold"]


def test_a_job_that_does_not_fit_beside_idle_models_gets_them_released() -> None:
    scene = (
        Scene()
        .job("one", 0, model="a", gib=9)
        .job("two", 0, user="bob", model="b", gib=9)
        .job("big", 100, user="cem", model="c", gib=20)
    )
    starts = played(scene, "fifo", vram_gib=32, workers_per_gpu=2)
    assert starts[-1][:2] == ("big", 100.5)
