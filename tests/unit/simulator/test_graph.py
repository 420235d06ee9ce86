from __future__ import annotations

from typing import Any

import pytest

from simulator.comfyui.graph import Agenda, GraphCycle, Signatures


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


STABLE_DIFFUSION = {
    "4": node("Loader"),
    "5": node("Empty"),
    "6": node("Encode", text="good", clip=["4", 1]),
    "7": node("Encode", text="bad", clip=["4", 1]),
    "3": node(
        "Sampler", model=["4", 0], positive=["6", 0], negative=["7", 0], latent_image=["5", 0]
    ),
    "8": node("Decode", samples=["3", 0], vae=["4", 2]),
    "9": node("Save", images=["8", 0]),
}


def order(prompt: dict[str, Any], *outputs: str, cached: frozenset[str] = frozenset()) -> list[str]:
    agenda = Agenda(
        prompt, lambda n: n in cached, lambda n: prompt[n]["class_type"] in ("Save", "Preview")
    )
    for output in outputs:
        agenda.add(output)
    taken = []
    while agenda:
        taken.append(agenda.take())
    return taken


def test_nodes_run_in_the_order_of_the_real_server() -> None:
    assert order(STABLE_DIFFUSION, "9") == ["4", "5", "7", "6", "3", "8", "9"]


def test_what_is_cached_is_left_out_but_an_output_is_still_shown() -> None:
    cached = frozenset({"4", "5", "6", "7", "3", "8", "9"})
    assert order(STABLE_DIFFUSION, "9", cached=cached) == ["9"]
    assert order(STABLE_DIFFUSION, "9", cached=cached - {"3", "8", "9"}) == ["3", "8", "9"]


def test_an_output_that_is_ready_goes_before_everything_else() -> None:
    prompt = {
        "1": node("Load"),
        "2": node("Blur", image=["1", 0]),
        "3": node("Save", images=["2", 0]),
        "4": node("Preview", images=["1", 0]),
    }
    assert order(prompt, "3", "4") == ["1", "4", "2", "3"]


def test_an_agenda_that_goes_in_a_circle_says_so() -> None:
    prompt = {"1": node("A", x=["2", 0]), "2": node("Save", x=["1", 0])}
    with pytest.raises(GraphCycle, match="remove a link"):
        order(prompt, "2")


def keys(prompt: dict[str, Any], salt: str = "") -> Signatures:
    return Signatures(prompt, lambda node_id: salt)


def test_the_same_history_has_the_same_key_whatever_the_nodes_are_called() -> None:
    renamed = {"a": node("Loader"), "b": node("Encode", clip=["a", 1], text="good")}
    assert keys(STABLE_DIFFUSION).key("6") == keys(renamed).key("b")


def test_a_changed_ancestor_changes_every_key_that_depends_on_it() -> None:
    changed = STABLE_DIFFUSION | {"6": node("Encode", text="better", clip=["4", 1])}
    one, other = keys(STABLE_DIFFUSION), keys(changed)
    assert [n for n in STABLE_DIFFUSION if one.key(n) != other.key(n)] == ["6", "3", "8", "9"]


def test_a_value_that_looks_like_a_link_to_no_node_is_a_value() -> None:
    prompt = {"1": node("A", x=["nowhere", 0])}
    assert keys(prompt).key("1") != keys({"1": node("A", x=["elsewhere", 0])}).key("1")


def test_salt_tells_equal_nodes_apart() -> None:
    assert keys(STABLE_DIFFUSION, "a").key("9") != keys(STABLE_DIFFUSION, "b").key("9")


def test_a_chain_longer_than_the_interpreters_stack_has_keys() -> None:
    chain = {"0": node("A")} | {str(n): node("B", x=[str(n - 1), 0]) for n in range(1, 3000)}
    assert len(keys(chain).key("2999")) == 40


def test_a_circle_has_no_keys() -> None:
    prompt = {"1": node("A", x=["2", 0]), "2": node("B", x=["1", 0])}
    with pytest.raises(GraphCycle, match="depends on itself"):
        keys(prompt).key("1")
