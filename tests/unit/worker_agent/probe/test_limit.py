from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.unit.worker_agent.probe.standins import GIB, Cuda, Device, management
from worker_agent.probe.card import Card
from worker_agent.probe.hooks import Hooks
from worker_agent.probe.limit import LEAST, SLACK, BadLimit, Limit, Limiter

CONTEXT = GIB


class Torch:
    def __init__(self, cuda: Cuda) -> None:
        self.cuda = cuda


class Worker:
    """A limiter over a card, asked as the prompts' thread asks."""

    def __init__(self, cuda: Cuda, device: Device) -> None:
        self.cuda = cuda
        self.module = management(cuda)
        self.hooks = Hooks()
        self.card = Card(device, Torch(cuda))
        self.limiter = Limiter(self.card, self.module)
        self.limiter.hold(self.hooks)

    def seen(self, name: str, *args: Any) -> Any:
        """What ComfyUI sees in its prompts' thread."""
        return in_thread(lambda: getattr(self.module, name)(*args))


def in_thread(ask: Callable[[], Any]) -> Any:
    answer: list[Any] = []
    thread = threading.Thread(target=lambda: answer.append(ask()))
    thread.start()
    thread.join()
    return answer[0]


@pytest.fixture
def worker() -> Worker:
    return Worker(Cuda(24 * GIB), Device("cuda", 0))


def test_without_a_limit_comfyui_sees_the_card(worker: Worker) -> None:
    worker.cuda.hold(4 * GIB)
    assert worker.seen("get_free_memory") == 20 * GIB
    assert worker.seen("get_total_memory") == 24 * GIB


def test_the_cap_is_the_limit_less_context_and_slack(worker: Worker) -> None:
    limit = Limit(8 * GIB, CONTEXT, 8 * GIB)
    worker.limiter.apply(limit)
    assert limit.torch_bytes == 7 * GIB - SLACK
    assert worker.cuda.fraction == pytest.approx((7 * GIB - SLACK) / (24 * GIB))


def test_comfyui_sees_what_the_limit_leaves_it(worker: Worker) -> None:
    worker.limiter.apply(Limit(8 * GIB, CONTEXT, 8 * GIB))
    worker.cuda.hold(3 * GIB)
    assert worker.seen("get_free_memory", Device("cuda", 0)) == 4 * GIB - SLACK
    assert worker.seen("get_total_memory", Device("cuda", 0)) == 7 * GIB - SLACK


def test_comfyui_never_sees_more_than_the_card_has_or_less_than_nothing(worker: Worker) -> None:
    worker.limiter.apply(Limit(40 * GIB, CONTEXT, 40 * GIB))
    assert worker.seen("get_total_memory") == 24 * GIB
    worker.limiter.apply(Limit(8 * GIB, CONTEXT, 8 * GIB))
    worker.cuda.hold(9 * GIB)
    assert worker.seen("get_free_memory") == 0


def test_bytes_of_torch_asked_for_beside_are_told_as_they_are(worker: Worker) -> None:
    worker.limiter.apply(Limit(8 * GIB, CONTEXT, 8 * GIB))
    worker.cuda.hold(3 * GIB)
    worker.cuda.hold(-GIB)
    assert worker.seen("get_free_memory", None, True) == (5 * GIB - SLACK, GIB)
    assert worker.seen("get_total_memory", None, True) == (7 * GIB - SLACK, 3 * GIB)


def test_what_comfyui_is_told_may_be_more_than_the_cap(worker: Worker) -> None:
    worker.limiter.apply(Limit(8 * GIB, CONTEXT, 16 * GIB))
    assert worker.seen("get_free_memory") == 15 * GIB - SLACK
    assert worker.cuda.fraction == pytest.approx((7 * GIB - SLACK) / (24 * GIB))
    worker.limiter.apply(Limit(8 * GIB, CONTEXT, None))
    assert worker.seen("get_free_memory") == 24 * GIB


def crowded(worker: Worker, left: int) -> None:
    """Neighbours hold all of the card but so much."""
    worker.cuda.total, worker.cuda.others = 24 * GIB, 24 * GIB - left


def test_what_neighbours_hold_does_not_count_where_all_that_was_promised_is_there(
    worker: Worker,
) -> None:
    worker.limiter.apply(Limit(8 * GIB, CONTEXT, 16 * GIB))
    worker.cuda.hold(3 * GIB)
    crowded(worker, left=7 * GIB)
    assert worker.seen("get_free_memory") == 12 * GIB - SLACK
    assert worker.seen("get_free_memory", None, True) == (12 * GIB - SLACK, 0)


def test_where_others_took_what_was_promised_comfyui_sees_what_is_left(worker: Worker) -> None:
    worker.limiter.apply(Limit(8 * GIB, CONTEXT, 16 * GIB))
    worker.cuda.hold(3 * GIB)
    crowded(worker, left=5 * GIB)
    assert worker.seen("get_free_memory") == 2 * GIB


def test_it_never_sees_more_than_an_empty_card_would_leave_it(worker: Worker) -> None:
    worker.limiter.apply(Limit(20 * GIB, CONTEXT, 32 * GIB))
    worker.cuda.hold(3 * GIB)
    crowded(worker, left=20 * GIB)
    assert worker.seen("get_free_memory") == 21 * GIB


def test_a_process_that_may_go_beyond_its_cap_sees_what_neighbours_hold() -> None:
    worker = Worker(Cuda(24 * GIB, backend="cudaMallocAsync"), Device("cuda", 0))
    worker.limiter.apply(Limit(8 * GIB, CONTEXT, 16 * GIB))
    crowded(worker, left=9 * GIB)
    assert worker.seen("get_free_memory") == 9 * GIB


def test_host_memory_and_other_cards_are_told_as_they_are(worker: Worker) -> None:
    worker.limiter.apply(Limit(8 * GIB, CONTEXT, 8 * GIB))
    assert worker.seen("get_free_memory", Device("cpu")) == 24 * GIB
    assert worker.seen("get_total_memory", Device("cuda", 1)) == 24 * GIB


def test_comfyuis_server_still_tells_people_what_the_card_has(worker: Worker) -> None:
    worker.limiter.apply(Limit(8 * GIB, CONTEXT, 8 * GIB))
    assert worker.module.get_total_memory() == 24 * GIB


def test_no_limit_takes_the_cap_away(worker: Worker) -> None:
    worker.limiter.apply(Limit(8 * GIB, CONTEXT, 8 * GIB))
    worker.limiter.apply(Limit())
    assert worker.cuda.fraction == 1.0
    assert worker.seen("get_total_memory") == 24 * GIB


def test_modules_that_imported_the_functions_by_name_are_told_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuda = Cuda()
    module, other = management(cuda), ModuleType("a_pack")
    other.__dict__["get_free_memory"] = module.get_free_memory
    monkeypatch.setitem(sys.modules, "a_pack", other)
    limiter = Limiter(Card(Device("cuda"), Torch(cuda)), module)
    limiter.hold(Hooks())
    limiter.apply(Limit(8 * GIB, CONTEXT, 8 * GIB))
    assert in_thread(other.__dict__["get_free_memory"]) == 7 * GIB - SLACK


@pytest.mark.parametrize("name", ["size", "told"])
def test_a_limit_that_nothing_runs_in_is_refused(name: str) -> None:
    with pytest.raises(BadLimit, match="at least"):
        Limit(**{"context": CONTEXT, name: CONTEXT + SLACK + LEAST - 1})
    Limit(CONTEXT + SLACK + LEAST, CONTEXT, CONTEXT + SLACK + LEAST)


def test_a_capped_pool_is_enforced(worker: Worker) -> None:
    assert worker.limiter.mode() == "enforced"


def test_a_pool_that_may_be_larger_than_the_cap_is_only_told() -> None:
    assert Worker(Cuda(backend="cudaMallocAsync"), Device("cuda")).limiter.mode() == "told"


def test_weights_outside_torch_make_it_only_told(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    paging = ModuleType("comfy.memory_management")
    paging.__dict__["aimdo_enabled"] = True
    monkeypatch.setitem(sys.modules, "comfy.memory_management", paging)
    assert worker.limiter.mode() == "told"


def test_without_a_gpu_a_limit_is_only_noted() -> None:
    worker = Worker(Cuda(), Device("cpu"))
    assert worker.limiter.mode() == "observed"
    worker.limiter.apply(Limit(8 * GIB, CONTEXT, 8 * GIB))
    assert worker.seen("get_free_memory") == 24 * GIB
    assert worker.cuda.calls == []
    assert worker.limiter.limit.size == 8 * GIB


def test_a_memory_manager_without_these_functions_is_not_told() -> None:
    cuda = Cuda()
    module = management(cuda)
    del module.get_free_memory
    hooks = Hooks()
    limiter = Limiter(Card(Device("cuda"), Torch(cuda)), module)
    limiter.hold(hooks)
    assert hooks.missing == ["model_management.get_free_memory"]
    assert limiter.mode() == "observed"
