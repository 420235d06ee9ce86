"""Follows picture sizes through a graph: what is sampled, decoded, encoded, how large."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from scheduler.workflow.parse import Graph, Node
from scheduler.workflow.passed_pictures import READER, READER_INPUT
from scheduler.workflow.values import split_annotated

#: Side of a loaded picture whose size nobody told (an assumption: SDXL's native size).
ASSUMED_SIDE: Final = 1024
#: What an upscale model multiplies by where its name does not say (``4x-UltraSharp``).
ASSUMED_UPSCALE: Final = 4
#: Sides and counts beyond this are no workflow's intent; keeps products finite.
_LARGEST: Final = 1 << 20

#: Inputs that a node's own size comes from, most telling first.
_MAIN_INPUTS: Final = (
    "latent_image", "samples", "latent", "samples_to", "samples1", "pixels", "image", "images",
    "image1", "destination", "mask",
)  # fmt: skip
_SCALES: Final = ("scale_by", "upscale_by", "rescale_factor")
_FRAMES: Final = ("length", "frames", "num_frames", "video_frames")
_FACTOR: Final = re.compile(r"(?<![0-9])([1-8])x|x([1-8])(?![0-9])", re.IGNORECASE)
_LOADERS: Final = ("LoadImage", "LoadImageMask", "LoadImageOutput")


@dataclass(frozen=True, slots=True)
class Shape:
    """So many pictures (or videos of so many frames) of this size, in image pixels."""

    width: int
    height: int
    images: int = 1
    frames: int = 1

    @property
    def picture(self) -> int:
        """Pixels of one picture."""
        return self.width * self.height

    @property
    def pixels(self) -> int:
        """Pixels of all pictures and frames."""
        return self.picture * self.images * self.frames


def _pictured(size: tuple[int, int] | None) -> Shape:
    """One picture of that size; of the size that most have, where nobody knows it."""
    width, height = size or (ASSUMED_SIDE, ASSUMED_SIDE)
    return Shape(max(1, width), max(1, height))


def follow_shapes(
    graph: Graph, image_sizes: Mapping[str, tuple[int, int]]
) -> dict[str, Shape | None]:
    """Returns what each node hands on; None: no picture (a model, a text).

    Args:
        graph: nodes, sources first.
        image_sizes: (width, height) of input files by name, as far as known.
    """
    shapes: dict[str, Shape | None] = {}
    for node_id, node in graph.items():
        shapes[node_id] = _Reader(node, graph, shapes).shape(image_sizes)
    return shapes


def number(node: Node, name: str, graph: Graph) -> float | None:
    """A numeric input, followed through one primitive node; None: not known before it runs."""
    value = node.inputs.get(name)
    if value is None:
        return None
    source = node.source(name)
    if source is not None and source in graph:
        value = graph[source].inputs.get("value")
    return _number(value)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(min(max(value, -_LARGEST), _LARGEST)) if value == value else None


@dataclass(frozen=True, slots=True)
class _Reader:
    """What one node makes of the shapes that reach it."""

    node: Node
    graph: Graph
    shapes: Mapping[str, Shape | None]

    def shape(self, image_sizes: Mapping[str, tuple[int, int]]) -> Shape | None:
        if self.node.class_type in _LOADERS:
            _, name = split_annotated(self.node.text("image"))
            return _pictured(image_sizes.get(name))
        if self.node.class_type == READER:
            return _pictured(image_sizes.get(self.node.text(READER_INPUT)))
        resized = self.resized(self.incoming())
        return None if resized is None else self.recounted(resized)

    def incoming(self) -> Shape | None:
        """The shape that the node works on, of all that reach it."""
        for name in _MAIN_INPUTS:
            found = self.linked(name) if name in self.node.inputs else None
            if found is not None:
                return found
        others = [self.shapes.get(source) for _, source in self.node.links()]
        return max((s for s in others if s is not None), key=lambda s: s.pixels, default=None)

    def linked(self, name: str) -> Shape | None:
        source = self.node.source(name)
        return None if source is None else self.shapes.get(source)

    def count(self, name: str) -> int:
        if name not in self.node.inputs:
            return 0
        value = number(self.node, name, self.graph)
        return 0 if value is None else max(0, int(value))

    def resized(self, given: Shape | None) -> Shape | None:
        width, height = self.count("width"), self.count("height")
        if width and height:
            return (
                Shape(width, height)
                if given is None
                else replace(given, width=width, height=height)
            )
        if given is None:
            return None
        if width or height:  # one side 0: the other keeps the aspect
            ratio = width / given.width if width else height / given.height
            return _scaled(given, ratio)
        if self.node.class_type == "ImagePadForOutpaint":
            return replace(
                given,
                width=given.width + self.count("left") + self.count("right"),
                height=given.height + self.count("top") + self.count("bottom"),
            )
        return _scaled(given, self.factor(given))

    def factor(self, given: Shape) -> float:
        for name in _SCALES:
            value = number(self.node, name, self.graph)
            if value is not None and value > 0:
                return value
        megapixels = number(self.node, "megapixels", self.graph)
        if megapixels is not None and megapixels > 0:
            return float((megapixels * 1024 * 1024 / given.picture) ** 0.5)
        loader = self.node.source("upscale_model")
        if loader is None or loader not in self.graph:
            return 1.0
        found = _FACTOR.search(self.graph[loader].text("model_name"))
        return float(found[1] or found[2]) if found else float(ASSUMED_UPSCALE)

    def recounted(self, shape: Shape) -> Shape:
        batch, amount = self.count("batch_size"), self.count("amount")
        images = batch or shape.images
        if amount and self.node.class_type in ("RepeatLatentBatch", "RepeatImageBatch"):
            images = shape.images * amount
        if self.node.class_type in ("LatentFromBatch", "ImageFromBatch"):
            return replace(shape, images=max(1, min(images, self.count("length") or images)))
        if self.node.class_type in ("ImageBatch", "LatentBatch"):
            second = self.linked("image2") or self.linked("samples2")
            images += second.images if second is not None else 0
        frames = next((n for n in map(self.count, _FRAMES) if n), shape.frames)
        return replace(shape, images=min(images, _LARGEST), frames=frames)


def _scaled(shape: Shape, factor: float) -> Shape:
    def side(length: int) -> int:
        return min(_LARGEST, max(1, round(length * factor)))

    return replace(shape, width=side(shape.width), height=side(shape.height))
