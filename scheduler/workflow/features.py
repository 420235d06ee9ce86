"""What a prompt's graph says about its need: models, pixels, steps, samplers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from scheduler.workflow.fingerprint import fingerprint, parents
from scheduler.workflow.models import Family, family_of, models_of
from scheduler.workflow.node_class import NodeClass, node_class_of
from scheduler.workflow.parse import Graph, Node, read_graph
from scheduler.workflow.shapes import Shape, follow_shapes, number

#: Core nodes that compute on the GPU without loading a model (0.3.64's source).
_GPU_UTILITIES: Final = frozenset({"Canny", "Morphology", "ImageBlur", "ImageSharpen"})
#: Modules whose nodes we know; custom packs may do anything.
_CORE_MODULES: Final = ("nodes", "comfy_extras", "comfy_api_nodes")
#: Core nodes that are known to need no GPU where no ``/object_info`` says where they come from.
_PLAIN: Final = frozenset(
    {
        "EmptyImage", "LoadImage", "LoadImageMask", "LoadImageOutput", "SaveImage", "PreviewImage",
        "ImageScale", "ImageScaleBy", "ImageInvert", "ImageBatch", "ImagePadForOutpaint",
        "EmptyLatentImage", "SaveLatent", "LoadLatent", "SaveImageWebsocket",
    }
)  # fmt: skip
#: Frames that a video VAE holds at once: ComfyUI 0.3.64 books about five pictures for Wan's.
_VAE_FRAMES: Final = 5
_NO_SIZES: Final[Mapping[str, int]] = MappingProxyType({})
_NO_IMAGES: Final[Mapping[str, tuple[int, int]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What the estimator knows of a workflow before it runs. Pixels are image pixels."""

    #: ``folder/name`` in load order
    models: tuple[str, ...]
    #: file sizes of ``models``, in the same order; 0: not known
    model_bytes: tuple[int, ...]
    #: largest sampled latent: width × height × batch × frames
    latent_pixels: int
    #: pictures per run, of that latent
    batch: int
    #: frames of that latent, 1 for pictures
    frames: int
    #: largest VAE encode or decode, one picture
    decode_pixels: int
    #: the same for all pictures that pass the VAE at once (tiled: one tile; video: a chunk)
    vae_pixels: int
    #: sampling steps, all samplers together
    steps: int
    #: sampler names, sorted, joined by ``+``; "" without a sampler
    sampler: str
    #: ``fp8_e4m3fn`` and the like where a loader asks for it, else ""
    weight_dtype: str
    family: Family
    node_classes: frozenset[str]
    #: nodes of custom packs, which may take memory of their own; 0 where nobody knows
    unknown_nodes: int
    #: False: no model is loaded and nothing computes on a GPU
    needs_gpu: bool

    @property
    def fingerprint(self) -> str:
        """What kind of workflow this is, 32 hex digits."""
        return fingerprint(self)

    @property
    def parents(self) -> tuple[str, ...]:
        """Coarser fingerprints, finest first, for what was never seen."""
        return parents(self)


def features(
    prompt: Mapping[str, Any],
    object_info: Mapping[str, Any] | None = None,
    sizes: Mapping[str, int] = _NO_SIZES,
    *,
    image_sizes: Mapping[str, tuple[int, int]] = _NO_IMAGES,
    outputs: Sequence[str] | None = None,
) -> Features:
    """Reads a prompt's features; only nodes that its outputs reach count.

    Args:
        prompt: the graph, best the validated one.
        object_info: the workers' ``/object_info``; None: fewer graphs are known GPU-free.
        sizes: file sizes in bytes by ``folder/name``.
        image_sizes: (width, height) of input files by name.
        outputs: the outputs that will run (``Validation.outputs``); None: all.
    """
    graph = read_graph(prompt, object_info, outputs)
    shapes = follow_shapes(graph, image_sizes)
    samplers = [node for node in graph.values() if _is_sampler(node)]
    coded = [node for node in graph.values() if node.source("vae") is not None]
    largest = _largest(shapes.get(node.id) for node in samplers) or _largest(shapes.values())
    vae = _largest(_coded_shape(node, graph, shapes) for node in coded)
    models = models_of(graph)
    computes = bool(models or samplers or coded)
    return Features(
        models=models,
        model_bytes=tuple(sizes.get(model, 0) for model in models),
        latent_pixels=largest.pixels if largest else 0,
        batch=largest.images if largest else 1,
        frames=largest.frames if largest else 1,
        decode_pixels=vae.picture if vae else 0,
        vae_pixels=vae.pixels if vae else 0,
        steps=sum(_steps(node, graph) for node in samplers),
        sampler="+".join(sorted({_sampler_name(node, graph) for node in samplers} - {""})),
        weight_dtype=_weight_dtype(graph),
        family=family_of(models, sizes),
        node_classes=_classes(graph),
        unknown_nodes=_unknown(graph, object_info),
        needs_gpu=computes or not _all_plain(graph, object_info),
    )


def _largest(shapes: Iterable[Shape | None]) -> Shape | None:
    known = (shape for shape in shapes if shape is not None)
    return max(known, key=lambda shape: shape.pixels, default=None)


def _is_sampler(node: Node) -> bool:
    """KSampler and its like name steps and sampler; SamplerCustom and its like take sigmas."""
    if "sampler_name" in node.inputs and "steps" in node.inputs:
        return True
    return "sigmas" in node.inputs and ("latent_image" in node.inputs or "latent" in node.inputs)


def _coded_shape(node: Node, graph: Graph, shapes: Mapping[str, Shape | None]) -> Shape | None:
    shape = shapes.get(node.id)
    if shape is None:
        return None
    if "tile_size" not in node.inputs:
        return replace(shape, frames=min(shape.frames, _VAE_FRAMES))
    tile = number(node, "tile_size", graph)
    side = int(tile) if tile and tile > 0 else 512
    return Shape(min(side, shape.width), min(side, shape.height))


def _steps(node: Node, graph: Graph) -> int:
    source = node.source("sigmas")
    holder = graph[source] if source is not None and source in graph else node
    steps = number(holder, "steps", graph) or 0
    start = number(node, "start_at_step", graph) or 0
    end = number(node, "end_at_step", graph)
    last = steps if end is None else min(steps, end)
    return max(0, int(last - start))


def _sampler_name(node: Node, graph: Graph) -> str:
    source = node.source("sampler")
    holder = graph[source] if source is not None and source in graph else node
    return holder.text("sampler_name") or holder.class_type


def _weight_dtype(graph: Graph) -> str:
    asked = {node.text("weight_dtype") for node in graph.values()} - {"", "default"}
    return "+".join(sorted(asked))


def _unknown(graph: Graph, object_info: Mapping[str, Any] | None) -> int:
    known = object_info or {}
    found = [node_class_of(known, name) for name in _classes(graph) if name in known]
    return sum(not (one.is_api or _is_core(one)) for one in found)


def _classes(graph: Graph) -> frozenset[str]:
    return frozenset(node.class_type for node in graph.values())


def _all_plain(graph: Graph, object_info: Mapping[str, Any] | None) -> bool:
    classes = _classes(graph)
    if object_info is None:
        return classes <= _PLAIN
    return all(_is_plain(node_class_of(object_info, name)) for name in classes)


def _is_plain(found: NodeClass) -> bool:
    if found.is_api:
        return True
    return _is_core(found) and found.name not in _GPU_UTILITIES


def _is_core(found: NodeClass) -> bool:
    return found.module.split(".")[0] in _CORE_MODULES
