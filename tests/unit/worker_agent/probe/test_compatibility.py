from __future__ import annotations

import asyncio
import types
from typing import Any

import pytest

from tests.comfy_stand_in.bench import DEVICE, Bench, each_version, make, node, of
from tests.comfy_stand_in.engine import Walk
from tests.comfy_stand_in.memory import Cuda
from tests.comfy_stand_in.modules import Comfy, comfy
from tests.comfy_stand_in.values import (
    VERSIONS,
    Cache,
    Expand,
    InterruptProcessingException,
    Version,
)
from worker_agent.probe.hooks import hold_execution
from worker_agent.probe.meter import Meter
from worker_agent.probe.models import hold_models, hold_vae
from worker_agent.probe.monitor import CLASS, PerformanceMonitor
from worker_agent.probe.probe import Probe
from worker_agent.probe.settings import Settings


class Forgetful(Cache):
    def _entry(self, node: str) -> Any:
        return None

    def get(self, node: str) -> Any:
        return self._later(node) if self.kind == "awaitable" else None


@each_version
def test_each_version_tells_its_nodes_and_its_prompt(version: Version) -> None:
    bench = Bench(version, Make=make, Save=lambda images: [])
    records = bench.run({"1": node("Make", width=8), "2": node("Save", images=["1", 0])})
    assert [one["kind"] for one in records] == ["node", "node", "prompt"]
    first, second, prompt = records
    assert (first["node"], first["class"], first["result"]) == ("1", "Make", "success")
    assert first["outputs"] == {"IMAGE": {"shape": [1, 8, 8, 3], "dtype": "float32"}}
    assert first["out_bytes"] == 8 * 8 * 3 * 4
    assert first["inputs"] == {"width": 8}
    assert second["inputs"] == {"images": {"shape": [1, 8, 8, 3], "dtype": "float32"}}
    assert (prompt["prompt"], prompt["result"], prompt["nodes"]) == ("p", "success", 2)
    assert prompt["retained"] == {"Make": 768}
    assert bench.probe.troubles.count == 0
    assert bench.probe.hooks.missing == []


@each_version
def test_the_calls_of_a_node_that_waits_for_a_lazy_input_are_one_record(version: Version) -> None:
    seen: list[int] = []

    def lazy(images: Any) -> Any:
        seen.append(1)
        return "images" if len(seen) == 1 else [[images]]

    bench = Bench(version, Lazy=lazy)
    (record, _) = bench.run({"1": node("Lazy", images=1)})
    assert record["calls"] == 2
    assert record["result"] == "success"


@each_version
def test_a_node_that_grows_others_ends_after_them_and_they_say_whose_they_are(
    version: Version,
) -> None:
    def grow(**_: Any) -> Expand:
        return Expand({"1.0.0.1": node("Make"), "1.0.0.2": node("Make")}, ["1.0.0.2", 0])

    bench = Bench(version, Make=make, Grow=grow)
    records = of(bench.run({"1": node("Grow")}), "node")
    assert [one["node"] for one in records] == ["1.0.0.1", "1.0.0.2", "1"]
    assert [one.get("display") for one in records] == ["1", "1", None]
    assert records[-1]["calls"] == 2
    assert records[-1]["outputs"]["IMAGE"]["shape"] == [1, 8, 8, 3]


@each_version
def test_a_node_handed_over_from_the_cache_is_cached_and_does_not_count_as_run(
    version: Version,
) -> None:
    bench = Bench(version, Make=make)
    bench.run({"1": node("Make")})
    (record, prompt) = bench.run({"1": node("Make")}, "again")
    assert record["cached"] is True
    assert record["out_bytes"] == 768
    assert prompt["cached"] == 1
    assert prompt["retained"] == {"Make": 768}


@each_version
def test_a_node_that_fails_tells_the_type_of_the_error_and_never_its_text(version: Version) -> None:
    def fail(**_: Any) -> None:
        raise ValueError("the text of somebody's prompt")

    (record, prompt) = Bench(version, Fail=fail).run({"1": node("Fail")})
    assert (record["result"], record["error"]) == ("failure", "ValueError")
    assert prompt["result"] == "error"
    assert "somebody" not in str([record, prompt])


@each_version
def test_outputs_that_no_cache_keeps_are_not_told_as_none(version: Version) -> None:
    bench = Bench(version, Make=make)
    bench.executor.caches.outputs = Forgetful(version.cache)  # as with --cache-none
    (record, prompt) = bench.run({"1": node("Make")})
    assert "outputs" not in record
    assert "out_bytes" not in record
    assert prompt["retained"] == {}


@each_version
def test_an_interrupted_prompt_says_so(version: Version) -> None:
    def stop(**_: Any) -> None:
        raise InterruptProcessingException

    (record, prompt) = Bench(version, Stop=stop).run({"1": node("Stop")})
    assert record["result"] == "failure"
    assert prompt["result"] == "interrupted"


@each_version
def test_the_next_prompt_of_the_same_executor_is_judged_by_itself(version: Version) -> None:
    def fail(**_: Any) -> None:
        raise ValueError

    bench = Bench(version, Fail=fail, Make=make)
    bench.run({"1": node("Fail")})
    assert bench.run({"2": node("Make")}, "next")[-1]["result"] == "success"


@each_version
def test_peaks_are_each_nodes_own_and_the_prompts_is_the_highest(version: Version) -> None:
    bench: Bench

    def wide(**_: Any) -> list[Any]:
        bench.card.take(900)
        bench.card.give(800)
        return make()

    def narrow(**_: Any) -> list[Any]:
        bench.card.take(50)
        return make()

    bench = Bench(version, Wide=wide, Narrow=narrow)
    bench.card.take(1000)
    first, second, prompt = bench.run({"1": node("Wide"), "2": node("Narrow")})
    assert (first["allocated"], first["peak"]) == ([1000, 1100], 1900)
    assert (second["allocated"], second["peak"]) == ([1100, 1150], 1150)
    assert (prompt["allocated"], prompt["peak_allocated"]) == ([1000, 1150], 1900)
    assert prompt["peak_reserved"] == 1900
    assert prompt["reserved"] == [1000, 1900]


@each_version
def test_a_peak_between_nodes_is_the_prompts_and_no_nodes(version: Version) -> None:
    bench: Bench

    def plain(**_: Any) -> list[Any]:
        return make()

    bench = Bench(version, Plain=plain)
    original = bench.comfy.execution.execute
    told: list[Any] = []

    def between(*args: Any) -> Any:
        bench.card.take(700)
        bench.card.give(700)
        told.append(1)
        return original(*args)

    bench.comfy.execution.execute = between
    first, second, prompt = bench.run({"1": node("Plain"), "2": node("Plain")})
    assert (first["peak"], second["peak"]) == (0, 0)
    assert prompt["peak_allocated"] == 700


@pytest.mark.parametrize("version", [v for v in VERSIONS if v.asynchronous], ids=lambda v: v.name)
def test_asynchronous_nodes_that_run_side_by_side_are_told_as_overlapping(version: Version) -> None:
    async def later() -> list[Any]:
        await asyncio.sleep(0.02)
        return make()

    bench = Bench(version, Later=lambda **_: later())
    records = bench.run({"1": node("Later"), "2": node("Later")})
    assert records[-1]["overlap"] is True
    for record in of(records, "node"):
        assert record["calls"] == 2
        assert record["seconds"] >= 0.02  # not only the calls: its work ran between them


@pytest.mark.parametrize("version", [v for v in VERSIONS if v.asynchronous], ids=lambda v: v.name)
def test_one_asynchronous_node_alone_overlaps_with_nothing(version: Version) -> None:
    async def later() -> list[Any]:
        return make()

    bench = Bench(version, Later=lambda **_: later())
    assert bench.run({"1": node("Later")})[-1]["overlap"] is False


@each_version
def test_hooks_off_tell_nothing_and_on_again_tell_all(version: Version) -> None:
    bench = Bench(version, Make=make)
    bench.probe.change({"hooks": False})
    assert bench.run({"1": node("Make")}) == []
    bench.probe.change({"hooks": True})
    assert len(bench.run({"2": node("Make")}, "next")) == 2


@each_version
def test_hooks_switched_on_in_the_middle_of_a_prompt_tell_the_rest_of_it(version: Version) -> None:
    bench: Bench

    def on(**_: Any) -> list[Any]:
        bench.probe.change({"hooks": True})
        return make()

    bench = Bench(version, On=on, Make=make)
    bench.probe.change({"hooks": False})
    (record,) = bench.run({"1": node("On"), "2": node("Make")})
    assert (record["prompt"], record["node"]) == ("p", "2")
    whole = bench.run({"3": node("Make")}, "next")
    assert [one["kind"] for one in whole] == ["node", "prompt"]


@each_version
def test_without_memory_reads_a_node_has_no_figures_of_it(version: Version) -> None:
    bench = Bench(version, Make=make)
    bench.probe.change({"memory": False})
    record = bench.run({"1": node("Make")})[0]
    assert "allocated" not in record
    assert "peak" not in record


@each_version
def test_what_goes_wrong_in_the_probe_is_counted_told_and_fails_nothing(version: Version) -> None:
    bench = Bench(version, Make=make)

    def broken(device: Any) -> Any:
        raise RuntimeError("a value of the prompt")

    bench.card.memory_stats_as_nested_dict = broken  # type: ignore[method-assign]
    records = bench.run({"1": node("Make")})
    assert bench.executor.success
    assert bench.executor.caches.outputs.kept["1"]
    assert bench.probe.troubles.count >= 2
    assert {one["where"] for one in of(records, "trouble")} == {"prompt start", "node start"}
    assert "a value" not in str(records)


@each_version
def test_an_error_of_comfyui_itself_comes_out_as_it_went_in(version: Version) -> None:
    class Gone(BaseException):
        pass

    def leave(**_: Any) -> None:
        raise Gone

    bench = Bench(version, Leave=leave)
    with pytest.raises(Gone):
        bench.executor.execute({"1": node("Leave")}, "p", {}, [])
    bench.probe.writer.drain()
    records = bench.probe.ring.after(0, 10)
    assert of(records, "node")[0]["error"].endswith("Gone")
    assert of(records, "prompt")[0]["result"] == "error"
    assert bench.probe.watch.running is None


@each_version
def test_a_version_without_a_hook_says_which_and_tells_the_rest(version: Version) -> None:
    made = comfy(version, {"Make": make})
    del made.execution.PromptExecutor.execute
    if version.asynchronous:
        del made.execution.PromptExecutor.execute_async
    del made.management.LoadedModel.model_unload
    made.sd.VAE = None
    meter = Meter(DEVICE, types.SimpleNamespace(cuda=Cuda()))
    probe = Probe(Settings(token="t"), meter, None, "boot")
    hold_execution(probe.hooks, made.execution, probe.watch)
    hold_models(probe.hooks, made.management, probe.watch, probe.writer.put)
    hold_vae(probe.hooks, made.sd, probe.watch, DEVICE)
    assert probe.hooks.present == ["execution.execute", "LoadedModel.model_load"]
    assert probe.hooks.missing == [
        "PromptExecutor.execute",
        "LoadedModel.model_unload",
        "VAE.decode",
        "VAE.encode",
        "VAE.decode_tiled",
    ]
    for prompt_id in ("one", "two"):
        call = made.execution.execute(*_arguments(version, prompt_id, made))
        if version.asynchronous:
            asyncio.run(call)
    probe.writer.drain()
    records = probe.ring.after(0, 10)
    assert [one["prompt"] for one in of(records, "node")] == ["one", "two"]


def _arguments(version: Version, prompt_id: str, made: Comfy) -> tuple[Any, ...]:
    executor = types.SimpleNamespace(
        server=None, caches=types.SimpleNamespace(outputs=Cache(version.cache))
    )
    return Walk(made, executor, {"1": node("Make")}, prompt_id).arguments()


@each_version
def test_a_wrapper_of_another_pack_inside_the_hook_is_followed(version: Version) -> None:
    made = comfy(version, {"Make": make})
    inner = made.execution.execute
    made.execution.execute = lambda *args: inner(*args)  # a plain function, also around a coroutine
    meter = Meter(DEVICE, types.SimpleNamespace(cuda=Cuda()))
    probe = Probe(Settings(token="t"), meter, None, "boot")
    hold_execution(probe.hooks, made.execution, probe.watch)
    made.executor().execute({"1": node("Make")}, "p", {}, ["1"])
    probe.writer.drain()
    assert [one["kind"] for one in probe.ring.after(0, 10)] == ["node", "prompt"]


@each_version
def test_the_monitor_passes_its_input_on_and_marks_its_place(version: Version) -> None:
    monitor = PerformanceMonitor()
    bench = Bench(version, Make=make, **{CLASS: lambda **inputs: list(monitor.mark(**inputs))})
    records = bench.run(
        {"1": node("Make"), "2": node(CLASS, anything=["1", 0], label="after sampling")}
    )
    assert records[1]["marker"] == "after sampling"
    assert "marker" not in records[0]
    kept = bench.executor.caches.outputs.kept
    assert kept["2"] == [kept["1"][0]]
    assert records[-1]["retained"] == {"Make": 768}  # handed on, not made
