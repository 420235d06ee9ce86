from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.comfy_stand_in.bench import Bench, each_version, make, node, of
from tests.comfy_stand_in.values import VERSIONS, Version


@each_version
def test_loads_and_unloads_are_timed_and_belong_to_their_node(version: Version) -> None:
    bench: Bench

    def sample(**_: Any) -> list[Any]:
        loaded = bench.comfy.management.LoadedModel(bench.comfy.management.patcher(500))
        loaded.model_load()
        loaded.model_unload()
        return make()

    bench = Bench(version, Sample=sample)
    records = bench.run({"7": node("Sample")})
    load, unload = of(records, "model")
    assert (load["what"], load["node"], load["prompt"]) == ("load", "7", "p")
    assert (load["bytes"], load["loaded_bytes"]) == (500, 500)
    assert (unload["what"], unload["loaded_bytes"]) == ("unload", 0)
    assert records[-1]["loads"] == 1
    assert records[-1]["load_seconds"] >= 0


@pytest.mark.parametrize("version", VERSIONS[1:], ids=lambda one: one.name)
def test_a_load_of_what_is_loaded_already_is_none(version: Version) -> None:
    bench: Bench

    def sample(**_: Any) -> list[Any]:
        loaded = bench.comfy.management.LoadedModel(bench.comfy.management.patcher(500))
        loaded.model_load(200)
        loaded.model_load(200)
        return make()

    bench = Bench(version, Sample=sample)
    records = bench.run({"7": node("Sample")})
    (load,) = of(records, "model")
    assert (load["bytes"], load["loaded_bytes"]) == (500, 200)


@each_version
@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda vae: vae.decode(1000), "tiled"),
        (lambda vae: vae.encode(1000), "tiled"),
        (lambda vae: vae.decode(1), None),
        (lambda vae: vae.encode(1), None),
        (lambda vae: vae.decode_tiled(1000), None),
    ],
)
def test_tiles_that_nobody_asked_for_are_a_fall_back(
    version: Version, call: Callable[[Any], Any], expected: str | None
) -> None:
    bench: Bench

    def decode(**_: Any) -> list[Any]:
        call(bench.comfy.sd.VAE())
        return make()

    bench = Bench(version, Decode=decode)
    (record, _) = bench.run({"1": node("Decode")})
    assert record.get("fallback") == expected


@each_version
def test_a_vae_on_the_cpu_of_a_worker_with_a_gpu_is_a_fall_back(version: Version) -> None:
    bench: Bench

    def decode(**_: Any) -> list[Any]:
        bench.comfy.sd.VAE("cpu").decode(1)
        return make()

    bench = Bench(version, Decode=decode)
    assert bench.run({"1": node("Decode")})[0]["fallback"] == "cpu"
