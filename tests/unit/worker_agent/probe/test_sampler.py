from __future__ import annotations

import threading

from worker_agent.probe.sampler import EVERY_S, Sampler


def test_samples_are_at_least_a_tenth_of_a_second_apart() -> None:
    assert EVERY_S >= 0.1


def test_it_samples_while_a_prompt_runs_and_only_then() -> None:
    taken = threading.Semaphore(0)
    sampler = Sampler(taken.release)
    sampler.start(lambda where, error: None)
    assert not taken.acquire(timeout=2 * EVERY_S)
    sampler.on()
    assert taken.acquire(timeout=20)
    assert taken.acquire(timeout=20)
    sampler.off()
    while taken.acquire(timeout=2 * EVERY_S):  # one may have been on its way
        pass
    sampler.stop()


def test_a_sample_that_fails_is_told_and_the_next_one_is_taken() -> None:
    troubles = threading.Semaphore(0)

    def fail() -> None:
        raise RuntimeError

    sampler = Sampler(fail)
    sampler.start(lambda where, error: troubles.release())
    sampler.on()
    assert troubles.acquire(timeout=20)
    assert troubles.acquire(timeout=20)
    sampler.stop()
