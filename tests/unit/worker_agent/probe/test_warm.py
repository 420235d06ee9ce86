from __future__ import annotations

from unittest.mock import MagicMock

from tests.unit.worker_agent.probe.standins import Cuda, Device, PromptsThread, Queue, management
from worker_agent.probe.card import Card
from worker_agent.probe.control import Control
from worker_agent.probe.hooks import Hooks
from worker_agent.probe.limit import Limiter
from worker_agent.probe.memory import Memory
from worker_agent.probe.meter import Meter
from worker_agent.probe.release import Releaser
from worker_agent.probe.turn import Turn


def control(device: Device, torch: MagicMock, queue: Queue) -> Control:
    module = management(torch.cuda)
    card = Card(device, torch)
    turn = Turn(queue)
    turn.hold(Hooks())
    limiter = Limiter(card, module)
    memory = Memory(card, Meter(device, torch), module, lambda: None)
    return Control(card, limiter, memory, Releaser(card, module), turn, torch)


async def test_a_warm_up_runs_half_floats_on_the_card_and_leaves_nothing_in_its_pool() -> None:
    torch, device, queue = MagicMock(), Device("cuda", 0), Queue()
    torch.cuda = Cuda()
    torch.nn.functional.linear.return_value.chunk.return_value = (MagicMock(), MagicMock())
    torch.inference_mode.return_value.__enter__.side_effect = lambda: torch.cuda.hold(2**20)
    torch.inference_mode.return_value.__exit__.side_effect = lambda *_: torch.cuda.hold(-(2**20))
    with PromptsThread(queue):
        answer = await control(device, torch, queue).warm()
    assert answer["seconds"] >= 0
    made = [call.kwargs for call in torch.ones.call_args_list]
    assert {(one["device"], one["dtype"]) for one in made} == {(device, torch.float16)}
    functional = torch.nn.functional
    for kernel in ("conv2d", "group_norm", "scaled_dot_product_attention", "linear", "interpolate"):
        assert getattr(functional, kernel).called
    assert torch.cuda.pool == 0


async def test_without_a_gpu_there_is_nothing_to_warm() -> None:
    torch, queue = MagicMock(), Queue()
    with PromptsThread(queue):
        await control(Device("cpu"), torch, queue).warm()
    assert not torch.ones.called
