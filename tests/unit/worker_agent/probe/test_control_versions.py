"""What ComfyUI's versions make of limits and releases: its loaded models differ, its functions grew."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.worker_agent.probe.standins import GIB, Cuda, Device, Patcher, management
from worker_agent.probe.card import Card
from worker_agent.probe.hooks import Hooks
from worker_agent.probe.limit import Limit, Limiter
from worker_agent.probe.memory import Memory
from worker_agent.probe.meter import Meter
from worker_agent.probe.release import Releaser
from worker_agent.probe.strangers import Strangers


@dataclass(frozen=True)
class Version:
    """What is different."""

    name: str
    #: an entry holds its patcher itself, and lets go of it when it is unloaded
    strong: bool
    #: a patcher tells how much of it is on the device
    partial: bool


VERSIONS = (
    Version("2024-08", strong=True, partial=False),
    Version("0.3.10", strong=True, partial=True),
    Version("0.3.44", strong=False, partial=True),
    Version("0.3.64", strong=False, partial=True),
    Version("newest", strong=False, partial=True),
)


class WholePatcher:
    """Before 2024-08: on the device, or not."""

    def __init__(self, inner: Patcher) -> None:
        self.inner, self.model = inner, inner.model

    def model_size(self) -> int:
        return self.inner.size


class StrongEntry:
    def __init__(self, patcher: Any) -> None:
        self.model = patcher

    def model_unload(self, unpatch_weights: bool = True) -> None:
        getattr(self.model, "inner", self.model).detach()
        self.model = None


class WeakEntry:
    def __init__(self, patcher: Any) -> None:
        self._model = weakref.ref(patcher)

    @property
    def model(self) -> Any:
        return self._model()

    def model_unload(self, memory_to_free: Any = None, unpatch_weights: bool = True) -> bool:
        self.model.detach()
        return True


class Scene:
    """SDXL and SD 1.5 on a card, as one version keeps them."""

    def __init__(self, version: Version) -> None:
        self.version = version
        self.cuda = Cuda()
        self.module = management(self.cuda)
        self.module.load_models_gpu = self._load
        card = Card(Device("cuda", 0), SimpleNamespace(cuda=self.cuda))
        self.limiter = Limiter(card, self.module)
        self.strangers = Strangers(card, self.module, self.limiter)
        self.hooks = Hooks()
        self.limiter.hold(self.hooks)
        self.strangers.hold(self.hooks)
        self.releaser = Releaser(card, self.module)
        meter = Meter(card.device, SimpleNamespace(cuda=self.cuda))
        self.memory = Memory(card, meter, self.module, lambda: None)
        self.held = [self.patcher(2 * GIB, "old"), self.patcher(5 * GIB, "new")]
        self.module.load_models_gpu(self.held)

    def patcher(self, size: int, name: str) -> Any:
        inner = Patcher(self.cuda, size, name)
        return inner if self.version.partial else WholePatcher(inner)

    def _load(self, models: Any, memory_required: float = 0) -> None:
        for patcher in models:
            getattr(patcher, "inner", patcher).load()
            entry = (StrongEntry if self.version.strong else WeakEntry)(patcher)
            self.module.current_loaded_models.insert(0, entry)


@pytest.fixture
def scene(request: pytest.FixtureRequest) -> Scene:
    return Scene(request.param)


each_scene = pytest.mark.parametrize("scene", VERSIONS, ids=lambda one: one.name, indirect=True)


@each_scene
def test_loaded_models_are_told(scene: Scene) -> None:
    told = scene.memory.figures()["models"]
    assert [(model["name"], model["loaded_bytes"]) for model in told] == [
        ("new", 5 * GIB),
        ("old", 2 * GIB),
    ]


@each_scene
def test_models_go_one_by_one_and_all_at_once(scene: Scene) -> None:
    assert scene.releaser.some(["new"], None) == ["old"]
    assert scene.cuda.pool == 5 * GIB
    assert scene.releaser.everything() == ["new"]
    assert scene.cuda.pool == 0
    assert scene.memory.figures()["models"] == []


@each_scene
def test_a_lower_limit_makes_room_by_models(scene: Scene) -> None:
    assert scene.releaser.below(6 * GIB) == ["old"]
    assert scene.cuda.pool == 5 * GIB


@each_scene
def test_models_of_earlier_prompts_go_before_a_load(scene: Scene) -> None:
    scene.limiter.apply(Limit(8 * GIB, 0, None))
    scene.strangers.begin_prompt()
    another = scene.patcher(2 * GIB, "another")
    scene.module.load_models_gpu([another], GIB // 2)
    assert [model["name"] for model in scene.memory.figures()["models"]] == ["another", "new"]


@each_scene
def test_a_model_whose_last_holder_let_go_is_not_told(scene: Scene) -> None:
    scene.held.pop()
    told = [model["name"] for model in scene.memory.figures()["models"]]
    assert told == (["new", "old"] if scene.version.strong else ["old"])
