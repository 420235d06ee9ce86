from __future__ import annotations

from gateway.attempts import _ADDRESSES, _TRUSTED, FAILURES, WINDOW_S, Attempts


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def guess(attempts: Attempts, address: str = "a", count: int = FAILURES) -> None:
    for number in range(count):
        assert attempts.failed(address, f"wrong-{number}") == 0


def test_after_ten_different_wrong_keys_an_unknown_one_waits_out_the_minute() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    guess(attempts)
    assert attempts.failed("a", "wrong-11") == WINDOW_S
    assert attempts.passed("a", "stamp") == WINDOW_S
    clock.now += WINDOW_S - 1
    assert attempts.passed("a", "stamp") == 1
    clock.now += 1
    assert attempts.passed("a", "stamp") == 0
    guess(attempts)


def test_another_address_does_not_wait() -> None:
    attempts = Attempts(Clock())
    guess(attempts)
    assert attempts.failed("b", "wrong-11") == 0
    assert attempts.passed("b", "stamp") == 0


def test_a_key_that_was_right_before_never_waits() -> None:
    attempts = Attempts(Clock())
    assert attempts.passed("a", "stamp") == 0
    guess(attempts)
    assert attempts.passed("a", "stamp") == 0
    assert attempts.passed("a", "another") > 0


def test_a_client_that_repeats_one_wrong_key_shuts_nobody_else_out() -> None:
    attempts = Attempts(Clock())
    for _ in range(FAILURES):
        assert attempts.failed("a", "stale") == 0
    for _ in range(1000):
        assert attempts.failed("a", "stale") > 0
    assert attempts.passed("a", "stamp") == 0
    assert attempts.failed("a", "a typing error") == 0


def test_memory_is_bounded_whoever_guesses() -> None:
    attempts = Attempts(Clock())
    for number in range(_ADDRESSES + 100):
        attempts.failed(f"address {number}", "wrong")
    for number in range(_TRUSTED + 100):
        attempts.passed("a", f"stamp {number}")
    for number in range(1000):
        attempts.failed("a", f"wrong-{number}")
    assert len(attempts._failures) == _ADDRESSES
    assert len(attempts._trusted) == _TRUSTED
    assert len(attempts._failures["a"].times) == FAILURES
