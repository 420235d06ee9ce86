"""Each kind of trouble, planted in a pool without others, is found and told rightly."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

import pytest

from dashboard.advice.body import found_of, seen_by
from dashboard.advice.engine import advise
from dashboard.advice.finding import Finding, What
from store.facts import ClassCount, Sampling
from tests.unit.dashboard.advice.pool import (
    FROM_MS,
    GIB,
    HOUR_MS,
    Pool,
    change,
    gpu_hour,
    quiet_pool,
    wait,
)


def only(pool: Pool, kind: str) -> Finding:
    """The one finding of this kind."""
    (found,) = [one for one in advise(pool.facts(), Random(1)) if one.kind == kind]
    return found


def words_of(found: Finding) -> str:
    return " ".join((found.title, found.cause, *found.remedies))


def fallen(limit: int, total: int, size: tuple[int, int] = (3840, 2160)) -> Pool:
    """4K decodes: twenty had the room, eight were kept within a limit and fell back."""
    pool = quiet_pool(3)
    pool.nodes = [node for node in pool.nodes if node.class_type != "VAEDecode"]
    pool.hours = [replace(hour, total_bytes=total) for hour in pool.hours]
    width, height = size
    for number in range(28):
        squeezed = number % 7 in (2, 5)
        job = pool.job(
            FROM_MS + number * HOUR_MS, user="ann", fingerprint="flow-4k", reserved_bytes=limit
        )
        pool.node(
            job, "VAEDecode", 10.0 if squeezed else 1.5, width=width, height=height,
            fallback="tiled" if squeezed else "", before_bytes=2 * GIB,
            peak_bytes=5 * GIB if squeezed else 2 * GIB + 2177 * width * height,
        )  # fmt: skip
        pool.prompt(job, limit_bytes=limit if squeezed else 22 * GIB)
    return pool


def test_a_vae_that_fell_back_is_told_with_cause_and_more_reservation_where_there_is_room() -> None:
    found = only(fallen(6 * GIB, 24 * GIB), "vae_fallback")
    assert found.users == ("ann",)
    assert found.effect.low > 4
    assert found.gain.what is What.GPU_TIME
    assert found.gain.low <= found.gain.expected <= found.gain.high
    assert "6.0 GiB" in found.cause
    assert "in tiles" in found.cause
    assert found.remedies[0].startswith("More reservation: about 22.0 GiB")
    assert any(text.startswith("Lower resolution") for text in found.remedies)
    assert any("VAEDecodeTiled" in text for text in found.remedies)
    assert len(found.jobs) == 8
    assert found.proof.p_value < 1e-4


def test_where_no_gpu_has_the_room_a_lower_resolution_comes_first() -> None:
    found = only(fallen(6 * GIB, 8 * GIB), "vae_fallback")
    assert found.remedies[0].startswith("Lower resolution: up to ")
    assert not any(text.startswith("More reservation") for text in found.remedies)


def test_tiles_on_purpose_are_told_with_what_they_took() -> None:
    pool = fallen(6 * GIB, 8 * GIB)
    for number in range(4):
        job = pool.job(FROM_MS + number * HOUR_MS, fingerprint="flow-t")
        pool.node(job, "VAEDecodeTiled", 3.0, width=3840, height=2160)
    (tiles,) = [text for text in only(pool, "vae_fallback").remedies if "Tiled VAE" in text]
    assert "by 4 runs of it" in tiles


def test_a_vae_on_the_cpu_is_told_so() -> None:
    pool = fallen(6 * GIB, 24 * GIB)
    pool.nodes = [replace(n, fallback="cpu" if n.fallback else "") for n in pool.nodes]
    found = only(pool, "vae_fallback")
    assert "on the CPU" in found.cause
    assert "--cpu-vae" in found.remedies[0]


def test_a_slow_sampler_is_told_with_a_faster_one() -> None:
    pool = quiet_pool(4)
    for place, node in enumerate(pool.nodes):
        told = pool.jobs[int(node.job[4:])].sampling.get(node.node)
        if told is not None and told.sampler == "ddim":
            pool.nodes[place] = replace(node, seconds=node.seconds * 2)
    found = [one for one in advise(pool.facts(), Random(1)) if one.kind == "slow_sampler"]
    assert {one.title.split()[0] for one in found} == {"ddim"}
    assert all(one.effect.low > 1.5 for one in found)
    assert "ddim" not in found[0].remedies[0]


def test_models_that_push_each_other_off_are_told_with_the_pin_that_helps() -> None:
    pool = quiet_pool(5)
    for number, job in enumerate(pool.jobs):
        if job.gpu == "gpu-0" and number % 2:
            pool.load(job, seconds=9.0)
    found = only(pool, "thrash")
    assert found.subject == "gpu-0"
    assert found.remedies[0].startswith("Pin m")
    assert found.effect.low > 0.1
    assert found.about.fingerprints


def test_an_artist_is_not_told_the_models_of_others_that_push_off_ones_own() -> None:
    pool = quiet_pool(5)
    for number, job in enumerate(pool.jobs):
        if job.gpu == "gpu-0" and number % 2:
            mine = f"checkpoints/{job.user}s-film.safetensors"
            pool.jobs[number] = replace(job, model=mine)
            pool.load(pool.jobs[number], model=mine, seconds=9.0)
    found = only(pool, "thrash")
    assert set(found.users) == {"ann", "bob", "cleo", "dan"}
    body = found_of(found).body
    told = json.dumps(seen_by(body, "ann"))
    assert "anns-film" in told
    assert not [name for name in ("bob", "cleo", "dan") if name in told]
    assert "another model" in told
    everything = json.dumps(seen_by(body, None))
    assert "bobs-film" in everything
    assert "models_of" not in everything


def test_batches_that_cost_each_picture_more_are_told() -> None:
    pool = quiet_pool(6)
    change(pool, 3.0, class_type="KSampler", batch=4)
    found = [one for one in advise(pool.facts(), Random(1)) if one.kind == "batches"]
    assert found
    assert all("A batch of 4" in one.title for one in found)
    assert all("Send batches of" in one.remedies[0] for one in found)


def test_repeats_that_were_computed_are_told_and_cached_ones_are_not() -> None:
    pool = quiet_pool(7)
    for number in range(12):
        job = pool.job(
            FROM_MS + number * HOUR_MS, user="bob", fingerprint="again",
            digest=f"g{number % 3}", run_seconds=30.0,
        )  # fmt: skip
        pool.prompt(job, cached=0)
    found = only(pool, "repeats")
    assert found.users == ("bob",)
    assert found.proof.shown == 9
    pool.prompts = [replace(one, cached=7, nodes=2) for one in pool.prompts]
    assert not [one for one in advise(pool.facts(), Random(1)) if one.kind == "repeats"]


def test_nodes_that_fail_are_told_by_class_and_error_without_texts() -> None:
    pool = quiet_pool(8)
    for number in range(9):
        job = pool.job(FROM_MS + number * HOUR_MS, user="bob", state="FAILED", run_seconds=20.0)
        pool.node(job, "Reactor", 1.0, failed=True, error="KeyError")
    pool.classes.append(ClassCount(class_type="Reactor", runs=40, failures=9))
    found = only(pool, "failing")
    assert found.subject == "Reactor"
    assert "KeyError" in found.cause
    assert found.users == ("bob",)


def test_one_who_sends_a_broken_graph_again_and_again_is_no_pattern() -> None:
    pool = quiet_pool(8)
    for number in range(9):
        job = pool.job(FROM_MS + number * HOUR_MS, state="FAILED", digest="the same")
        pool.node(job, "Reactor", 1.0, failed=True, error="KeyError")
    assert not [one for one in advise(pool.facts(), Random(1)) if one.subject == "Reactor"]


def test_a_limit_that_starves_is_told_to_whom_it_starves() -> None:
    pool = quiet_pool(9)
    for hour in range(10):
        for minute in range(30):
            at_ms = FROM_MS + hour * HOUR_MS + minute * 60_000
            pool.waits.append(wait(at_ms, "eve", "cap", job_ms=60_000))
            pool.idle[at_ms] = frozenset({"gpu-1"})
    found = only(pool, "cap")
    assert found.users == ("eve",)
    assert found.gain.what is What.WAITING
    assert found.gain.expected == pytest.approx(10 * 30 * 60 / 7, rel=0.01)
    assert "max_running" in found.remedies[0]


def test_a_gpu_that_idles_beside_a_queue_is_told_with_what_keeps_it() -> None:
    pool = quiet_pool(10)
    pool.waits = []
    for hour in range(40):
        for minute in range(20):
            at_ms = FROM_MS + hour * HOUR_MS + minute * 60_000
            pool.waits.append(wait(at_ms, "ann", "model_missing"))
            pool.idle[at_ms] = frozenset({"gpu-1"})
    found = only(pool, "idle_gpu")
    assert found.subject == "gpu-1/waits"
    assert "model_missing" in found.cause
    assert found.remedies[0].startswith("Install what is missing")
    assert found.users == ()  # for admins


def test_a_gpu_that_idles_at_the_same_hours_is_told_last() -> None:
    pool = quiet_pool(11)
    pool.hours = [
        replace(hour, idle=60) if hour.hour_ms // HOUR_MS % 24 < 6 else hour for hour in pool.hours
    ]
    found = [one for one in advise(pool.facts(), Random(1)) if one.kind == "idle_gpu"]
    assert {one.subject for one in found} == {"gpu-0/hours", "gpu-1/hours"}
    assert "0:00–6:00 UTC" in found[0].title
    assert found[0].gain.what is What.SPARE


def leaking(each: int) -> Pool:
    pool = quiet_pool(12)
    grown = 0
    for place, prompt in enumerate(pool.prompts):
        if prompt.worker == "gpu-0-w":
            grown += each
            pool.prompts[place] = replace(
                prompt, allocated_after=(prompt.allocated_after or 0) + grown
            )
    return pool


def test_a_worker_that_leaks_is_told_with_its_rate() -> None:
    found = only(leaking(40 * 2**20), "leak")
    assert found.subject == "gpu-0-w"
    assert found.effect.low < 40 * 2**20 < found.effect.high
    assert found.gain.what is What.MEMORY
    assert found.users == ()


def test_when_a_leaking_worker_is_full_is_a_matter_of_its_own_gpu() -> None:
    pool = leaking(40 * 2**20)
    (small,) = [one for one in advise(pool.facts(), Random(1)) if one.kind == "leak"]
    pool.hours.append(replace(pool.hours[0], gpu="large", total_bytes=900 * GIB))
    (beside,) = [one for one in advise(pool.facts(), Random(1)) if one.kind == "leak"]
    assert beside.remedies == small.remedies


def test_what_models_and_the_cache_explain_is_no_leak() -> None:
    pool = leaking(40 * 2**20)
    grown = 0
    for place, prompt in enumerate(pool.prompts):
        if prompt.worker == "gpu-0-w":
            grown += 40 * 2**20
            pool.prompts[place] = replace(prompt, retained_bytes=grown)
    assert not [one for one in advise(pool.facts(), Random(1)) if one.kind == "leak"]


def test_models_that_were_moved_out_without_a_word_are_no_leak() -> None:
    pool = quiet_pool(12)
    for number, prompt in enumerate(pool.prompts):
        if prompt.worker == "gpu-0-w":
            pool.load(pool.jobs[number], model="checkpoints/huge", loaded_bytes=80 * GIB, seconds=0)
            # what is believed to be loaded is more than there is, by less and less
            after = prompt.allocated_after or 0
            pool.prompts[number] = replace(prompt, allocated_after=after + number * 2**26)
    assert not [one for one in advise(pool.facts(), Random(1)) if one.kind == "leak"]


def test_promises_far_above_what_is_taken_are_told_only_where_others_waited() -> None:
    pool = quiet_pool(13)
    for number in range(20):
        job = pool.job(
            FROM_MS + number * HOUR_MS, user="ann", fingerprint="fat", gpu="gpu-0",
            reserved_bytes=20 * GIB, peak_bytes=5 * GIB,
        )  # fmt: skip
        minute = job.admitted_ms - job.admitted_ms % 60_000
        pool.waits.append(wait(minute, "bob", "no_headroom", job_ms=600_000))
    found = only(pool, "overestimate")
    assert found.subject == "fat"
    assert found.effect.value == pytest.approx(4.0, rel=0.01)
    assert "bob" not in words_of(found)
    pool.waits = []
    assert not [one for one in advise(pool.facts(), Random(1)) if one.kind == "overestimate"]


def test_a_slow_gpu_is_told_with_its_temperature() -> None:
    pool = quiet_pool(14)
    for place, node in enumerate(pool.nodes):
        if pool.jobs[int(node.job[4:])].gpu == "gpu-1" and node.class_type == "KSampler":
            pool.nodes[place] = replace(node, seconds=node.seconds * 1.8)
    pool.hours.append(gpu_hour("gpu-1", FROM_MS + 8 * 24 * HOUR_MS, temperature=91))
    found = only(pool, "slow_gpu")
    assert found.subject == "gpu-1"
    assert "91 °C" in found.cause
    assert "fans" in found.remedies[0]


def test_a_model_loaded_in_part_is_told() -> None:
    pool = quiet_pool(15)
    euler = Sampling(sampler="euler", scheduler="normal", steps=20)
    for number in range(24):
        job = pool.job(
            FROM_MS + number * HOUR_MS, user="cleo", model="checkpoints/big", gpu="gpu-0",
            sampling={"3": euler},
        )  # fmt: skip
        part = number % 2
        pool.node(job, "KSampler", 12.0 if part else 5.0, node="3")
        pool.prompt(job)
        pool.load(job, loaded_bytes=GIB if part else 4 * GIB, worker="big-w", seconds=0.0)
        pool.prompts[-1] = replace(pool.prompts[-1], worker="big-w")
    found = only(pool, "partial_load")
    assert found.users == ("cleo",)
    assert found.effect.low > 1.5


def test_no_text_of_advice_for_several_people_names_any_of_them() -> None:
    pools = [fallen(6 * GIB, 24 * GIB), quiet_pool(16)]
    change(pools[1], 3.0, class_type="KSampler", batch=4)
    for pool in pools:
        for found in advise(pool.facts(), Random(1)):
            named = [
                user for user in ("ann", "bob", "cleo", "dan") if user in words_of(found).split()
            ]
            assert not named, found
