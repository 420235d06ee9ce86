from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.worker_agent.probe.standins import GIB, Cuda, Device, Patcher, load, management
from worker_agent.probe.card import Card
from worker_agent.probe.hooks import Hooks
from worker_agent.probe.release import Releaser


class Executor:
    """ComfyUI's, with one model that only its cache holds."""

    def __init__(self, held: Patcher, module: Any) -> None:
        self.held, self.module = held, module
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1
        entries = self.module.current_loaded_models
        entries[:] = [entry for entry in entries if entry.model is not self.held]
        self.held.detach()


class Scene:
    def __init__(self) -> None:
        self.cuda = Cuda()
        self.module = management(self.cuda)
        self.old = load(self.module, Patcher(self.cuda, 2 * GIB, "old.safetensors"))
        self.new = load(self.module, Patcher(self.cuda, 5 * GIB, "new.safetensors"))
        self.releaser = Releaser(Card(Device("cuda"), SimpleNamespace(cuda=self.cuda)), self.module)

    def names(self) -> list[str]:
        return [entry.model.model.vramgate_file for entry in self.module.current_loaded_models]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_everything_goes_and_the_pool_with_it(scene: Scene) -> None:
    assert scene.releaser.everything() == ["new.safetensors", "old.safetensors"]
    assert (scene.cuda.used, scene.cuda.pool) == (0, 0)
    assert scene.module.current_loaded_models == []


def test_cached_outputs_go_before_models_are_moved_to_host_memory(scene: Scene) -> None:
    execution = SimpleNamespace(PromptExecutor=Executor)
    original = Executor.__init__
    moved: list[str] = []
    unload = scene.module.unload_all_models
    scene.module.unload_all_models = lambda: (moved.extend(scene.names()), unload())
    try:
        scene.releaser.hold(Hooks(), execution)
        executor = Executor(scene.new, scene.module)
        scene.releaser.everything()
    finally:
        Executor.__init__ = original  # type: ignore[method-assign]
    assert executor.resets == 1
    assert moved == ["old.safetensors"]


def test_what_is_kept_stays_and_the_rest_goes(scene: Scene) -> None:
    assert scene.releaser.some(["new.safetensors"], None) == ["old.safetensors"]
    assert scene.names() == ["new.safetensors"]
    assert scene.cuda.pool == 5 * GIB


def test_the_longest_unused_goes_first_until_the_bytes_are_free(scene: Scene) -> None:
    assert scene.releaser.some([], GIB) == ["old.safetensors"]
    assert scene.names() == ["new.safetensors"]


def test_bytes_that_the_pool_had_over_cost_no_model(scene: Scene) -> None:
    scene.cuda.hold(3 * GIB)
    scene.cuda.hold(-3 * GIB)
    assert scene.releaser.below(7 * GIB) == []
    assert scene.cuda.pool == 7 * GIB
    assert len(scene.names()) == 2


def test_a_limit_below_what_models_hold_moves_the_least(scene: Scene) -> None:
    assert scene.releaser.below(6 * GIB) == ["old.safetensors"]
    assert scene.releaser.below(4 * GIB) == ["new.safetensors"]
    assert scene.cuda.pool == 0


def test_a_model_that_nobody_holds_any_more_is_passed_over(scene: Scene) -> None:
    scene.module.current_loaded_models[0].model = None
    assert scene.releaser.some([], None) == ["old.safetensors"]


def test_an_older_comfyui_without_an_executor_to_learn_of_is_said_so(scene: Scene) -> None:
    hooks = Hooks()
    scene.releaser.hold(hooks, SimpleNamespace())
    assert hooks.missing == ["PromptExecutor.__init__"]
    assert scene.releaser.everything()
