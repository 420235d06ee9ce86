from __future__ import annotations

import io
import time
from typing import Any

from PIL import Image

from worker_agent.probe.capture import Gallery
from worker_agent.probe.runs import NodeRun
from worker_agent.probe.settings import Capture


class Pixels:
    """As much of a tensor of pictures as a preview needs; all one colour."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape
        self.ndim = len(shape)

    def __getitem__(self, key: tuple[Any, ...]) -> Pixels:
        _, rows, columns, channels = key
        sides = [
            len(range(*one.indices(side)))
            for one, side in zip((rows, columns, channels), self.shape[1:], strict=True)
        ]
        return Pixels(*sides)

    def clone(self) -> Pixels:
        return self

    float = byte = cpu = numpy = clone

    def clamp(self, low: int, high: int) -> Pixels:
        return self

    mul = lambda self, factor: self  # noqa: E731

    def tobytes(self) -> bytes:
        height, width, channels = self.shape
        return bytes(height * width * channels)


class Broken(Pixels):
    """Its bytes cannot be had."""

    def __getitem__(self, key: tuple[Any, ...]) -> Pixels:
        return self

    def clamp(self, low: int, high: int) -> Pixels:
        raise RuntimeError("out of memory")


def _fail(where: str, error: BaseException) -> None:
    raise error


def gallery(**types: list[str]) -> Gallery:
    made = Gallery(lambda class_type: types.get(class_type, []))
    made.start(_fail)
    return made


def run(class_type: str) -> NodeRun:
    made = NodeRun("1", 0.0)
    made.class_type = class_type
    return made


def test_a_picture_is_kept_small_and_found_by_its_id_only() -> None:
    pictures = gallery(Decode=["IMAGE"])
    pictures.rule(Capture(pixels=64))
    node = run("Decode")
    pictures.look(node, [[Pixels(2, 512, 1024, 3)]])
    pictures.stop()
    assert node.capture is not None
    assert len(node.capture) >= 20
    data = pictures.jpeg(node.capture)
    assert data is not None
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size) == ("JPEG", (64, 32))
    assert pictures.jpeg("1") is None


def test_a_picture_is_in_the_making_from_its_record_on_until_it_is_kept() -> None:
    pictures = Gallery(lambda class_type: ["IMAGE"])
    pictures.rule(Capture())
    node = run("Decode")
    pictures.look(node, [[Pixels(1, 64, 64, 3)]])
    assert node.capture is not None
    assert pictures.is_making(node.capture)
    assert not pictures.is_making("1")
    pictures.start(_fail)
    pictures.stop()
    assert not pictures.is_making(node.capture)
    assert pictures.jpeg(node.capture) is not None


def test_a_picture_that_cannot_be_made_is_in_the_making_no_more() -> None:
    failed: list[str] = []
    pictures = Gallery(lambda class_type: ["IMAGE"])
    pictures.rule(Capture())
    node = run("Decode")
    pictures.look(node, [[Broken(1, 64, 64, 3)]])
    pictures.start(lambda where, error: failed.append(where))
    pictures.stop()
    assert failed == ["capture"]
    assert node.capture is not None
    assert not pictures.is_making(node.capture)
    assert pictures.jpeg(node.capture) is None


def test_only_pictures_are_taken() -> None:
    pictures = gallery(Encode=["LATENT"], Mask=["MASK"])
    pictures.rule(Capture())
    for class_type, shape in (("Encode", (1, 4, 8, 8)), ("Mask", (1, 8, 8)), ("New", (1, 8, 8, 3))):
        node = run(class_type)
        pictures.look(node, [[Pixels(*shape)]])
        assert node.capture is None
    pictures.stop()


def test_without_rules_nothing_is_taken_and_what_there_was_is_forgotten() -> None:
    pictures = gallery(Decode=["IMAGE"])
    pictures.look(run("Decode"), [[Pixels(1, 8, 8, 3)]])
    pictures.rule(Capture())
    node = run("Decode")
    pictures.look(node, [[Pixels(1, 8, 8, 3)]])
    pictures.stop()
    assert node.capture is not None
    assert pictures.jpeg(node.capture) is not None
    pictures.rule(None)
    assert pictures.jpeg(node.capture) is None


def test_the_oldest_make_room_within_the_budget() -> None:
    pictures = gallery(Decode=["IMAGE"])
    pictures.rule(Capture(pixels=64, budget_bytes=2000))
    nodes = []
    for _ in range(8):
        node = run("Decode")
        pictures.look(node, [[Pixels(1, 64, 64, 3)]])
        nodes.append(node)
    pictures.stop()
    kept = [pictures.jpeg(node.capture or "") for node in nodes]
    assert kept[0] is None
    assert kept[-1] is not None
    assert sum(len(one) for one in kept if one) <= 2000


def test_a_node_does_not_wait_for_a_slow_camera() -> None:
    class Slow(Pixels):
        def clone(self) -> Pixels:
            return self

        def float(self) -> Pixels:
            time.sleep(0.05)
            return Pixels(*self.shape)

        def __getitem__(self, key: Any) -> Pixels:
            return Slow(*super().__getitem__(key).shape)

    pictures = gallery(Decode=["IMAGE"])
    pictures.rule(Capture())
    nodes = [run("Decode") for _ in range(60)]
    for node in nodes:
        pictures.look(node, [[Slow(1, 8, 8, 3)]])
    assert sum(node.capture is None for node in nodes) >= 40
    pictures.stop()
