from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.worker_agent.probe.standins import GIB, Cuda, Device, Patcher, load, management
from worker_agent.probe.card import Card
from worker_agent.probe.hooks import Hooks
from worker_agent.probe.limit import Limit, Limiter
from worker_agent.probe.strangers import Strangers


class Scene:
    """A worker that still holds SD 1.5, about to load SDXL."""

    def __init__(self) -> None:
        self.cuda = Cuda()
        self.module = management(self.cuda)
        self.calls: list[tuple[Any, ...]] = []
        self.module.load_models_gpu = self._load
        card = Card(Device("cuda"), SimpleNamespace(cuda=self.cuda))
        self.limiter = Limiter(card, self.module)
        self.strangers = Strangers(card, self.module, self.limiter)
        self.strangers.hold(Hooks())
        self.old = load(self.module, Patcher(self.cuda, 2 * GIB))
        self.strangers.begin_prompt()

    def _load(self, models: list[Patcher], *args: Any, **kwargs: Any) -> None:
        self.calls.append((models, args, kwargs))
        for model in models:
            if not model.on_card:
                load(self.module, model)

    def limit(self, size: int, told: int | None) -> None:
        self.limiter.apply(Limit(size, 0, told))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_models_of_earlier_prompts_make_room_under_a_cap_that_comfyui_does_not_see(
    scene: Scene,
) -> None:
    scene.limit(8 * GIB, None)
    scene.module.load_models_gpu([Patcher(scene.cuda, 5 * GIB)], memory_required=2 * GIB)
    assert scene.old.on_card == 0
    assert scene.cuda.used == 5 * GIB


def test_they_stay_where_all_fits(scene: Scene) -> None:
    scene.limit(10 * GIB, 16 * GIB)
    scene.module.load_models_gpu([Patcher(scene.cuda, 5 * GIB)], 2 * GIB)
    assert scene.old.on_card == 2 * GIB


def test_models_of_the_prompt_itself_are_comfyuis_business(scene: Scene) -> None:
    scene.limit(8 * GIB, None)
    unet, vae = Patcher(scene.cuda, 5 * GIB), Patcher(scene.cuda, GIB)
    scene.module.load_models_gpu([unet])
    scene.module.load_models_gpu([vae], memory_required=6 * GIB)
    assert unet.on_card == 5 * GIB
    scene.strangers.begin_prompt()
    scene.module.load_models_gpu([vae], memory_required=6 * GIB)
    assert unet.on_card == 0


@pytest.mark.parametrize("told", [8 * GIB, "none"])
def test_a_limit_that_comfyui_sees_is_left_to_it(scene: Scene, told: Any) -> None:
    if told != "none":
        scene.limit(8 * GIB, told)
    scene.module.load_models_gpu([Patcher(scene.cuda, 5 * GIB)], memory_required=2 * GIB)
    assert scene.old.on_card == 2 * GIB


def test_comfyui_gets_its_arguments_as_they_were(scene: Scene) -> None:
    models = [Patcher(scene.cuda, GIB)]
    scene.module.load_models_gpu(set(models), 5, force_full_load=True)
    assert scene.calls == [(models, (5,), {"force_full_load": True})]


def test_what_cannot_be_judged_is_loaded_all_the_same(scene: Scene) -> None:
    told: list[str] = []
    scene.strangers.failed = lambda where, error: told.append(where)
    scene.limit(8 * GIB, None)
    broken = Patcher(scene.cuda, GIB)
    broken.model_size = None  # type: ignore[assignment, method-assign]
    broken.on_card = 1
    scene.module.load_models_gpu([broken])
    assert told == ["strangers"]
    assert len(scene.calls) == 1
