"""Nodes that work on pictures: really executed, with Pillow."""

from __future__ import annotations

import hashlib
import io
import itertools
from pathlib import Path
from typing import Any

from PIL import Image, ImageFilter, ImageOps, ImageSequence

from simulator.comfyui.folders import Folders
from simulator.comfyui.node import Inputs, NodeContext, NodeResult, Preview, Registry
from simulator.comfyui.saving import png_info, save_place, save_png
from simulator.comfyui.values import Images

NODES = Registry()

_METHODS = {
    "nearest-exact": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_WEBP_EFFORT = {"default": 4, "fastest": 0, "slowest": 6}
_TEMP_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_runs = itertools.count()


def pixels(images: Images) -> int:
    """Of a whole batch."""
    return sum(image.width * image.height for image in images)


def _file_digest(folders: Folders, inputs: Inputs) -> str:
    return hashlib.sha256(folders.resolve(inputs["image"]).read_bytes()).hexdigest()


def _always(folders: Folders, inputs: Inputs) -> str:
    return f"run {next(_runs)}"


@NODES.node("EmptyImage")
async def _empty_image(context: NodeContext, inputs: Inputs) -> NodeResult:
    colour = inputs["color"]
    rgb = (colour >> 16 & 255, colour >> 8 & 255, colour & 255)
    image = Image.new("RGB", (inputs["width"], inputs["height"]), rgb)
    return NodeResult(([image] * inputs["batch_size"],))


@NODES.node("LoadImage", "LoadImageOutput", changed=_file_digest)
async def _load_image(context: NodeContext, inputs: Inputs) -> NodeResult:
    path = context.folders.resolve(inputs["image"])
    return NodeResult(await context.work(1 << 20, _load, path))


def _load(path: Path) -> tuple[Images, Images]:
    images: Images = []
    masks: Images = []
    with Image.open(path) as file:
        for frame in ImageSequence.Iterator(file):
            turned = ImageOps.exif_transpose(frame)
            if images and turned.size != images[0].size:
                continue
            images.append(turned.convert("RGB"))
            masks.append(_alpha_mask(turned))
    return images, masks


def _alpha_mask(image: Image.Image) -> Image.Image:
    # Transparent pixels are the masked ones; without alpha ComfyUI gives a small empty mask.
    if "A" in image.getbands() or "transparency" in image.info:
        return ImageOps.invert(image.convert("RGBA").getchannel("A"))
    return Image.new("L", (64, 64), 0)


@NODES.node("LoadImageMask", changed=_file_digest)
async def _load_mask(context: NodeContext, inputs: Inputs) -> NodeResult:
    with Image.open(context.folders.resolve(inputs["image"])) as file:
        image = ImageOps.exif_transpose(file)
        if inputs["channel"] == "alpha":
            return NodeResult(([_alpha_mask(image)],))
        channel = {"red": "R", "green": "G", "blue": "B"}[inputs["channel"]]
        return NodeResult(([image.convert("RGB").getchannel(channel)],))


def resize(image: Image.Image, width: int, height: int, method: str, crop: str) -> Image.Image:
    """Scale one picture.

    Raises:
        RuntimeError: The result would be empty; worded as torch does.
    """
    if min(width, height) < 1:
        raise RuntimeError(
            "Input and output sizes should be greater than 0, but got "
            f"input (H: {image.height}, W: {image.width}) output (H: {height}, W: {width})"
        )
    resample = _METHODS.get(method, Image.Resampling.BICUBIC)
    if crop == "center":
        return ImageOps.fit(image, (width, height), resample)
    return image.resize((width, height), resample)


async def _resized(
    context: NodeContext, images: Images, width: int, height: int, method: str, crop: str = ""
) -> NodeResult:
    amount = max(pixels(images), width * height * len(images))

    def all_of_them() -> Images:
        return [resize(image, width, height, method, crop) for image in images]

    return NodeResult((await context.work(amount, all_of_them),))


@NODES.node("ImageScale")
async def _image_scale(context: NodeContext, inputs: Inputs) -> NodeResult:
    images: Images = inputs["image"]
    width, height = inputs["width"], inputs["height"]
    if not width and not height:
        return NodeResult((images,))
    # One size of 0 follows from the other.
    width = width or max(1, round(images[0].width * height / images[0].height))
    height = height or max(1, round(images[0].height * width / images[0].width))
    return await _resized(context, images, width, height, inputs["upscale_method"], inputs["crop"])


@NODES.node("ImageScaleBy")
async def _image_scale_by(context: NodeContext, inputs: Inputs) -> NodeResult:
    images: Images = inputs["image"]
    width = round(images[0].width * inputs["scale_by"])
    height = round(images[0].height * inputs["scale_by"])
    return await _resized(context, images, width, height, inputs["upscale_method"])


@NODES.node("ImageScaleToTotalPixels")
async def _image_scale_to(context: NodeContext, inputs: Inputs) -> NodeResult:
    images: Images = inputs["image"]
    area = images[0].width * images[0].height
    factor = (inputs["megapixels"] * 1024 * 1024 / area) ** 0.5
    width, height = round(images[0].width * factor), round(images[0].height * factor)
    return await _resized(context, images, width, height, inputs["upscale_method"])


@NODES.node("ImageUpscaleWithModel")
async def _image_upscale(context: NodeContext, inputs: Inputs) -> NodeResult:
    model, images = inputs["upscale_model"], inputs["image"]
    await context.device.load(model.files)
    await context.device.compute(0.35 * pixels(images) / (512 * 512))
    return await _resized(context, images, images[0].width * 4, images[0].height * 4, "lanczos")


@NODES.node("ImageInvert")
async def _image_invert(context: NodeContext, inputs: Inputs) -> NodeResult:
    images: Images = inputs["image"]
    inverted = await context.work(
        pixels(images), lambda: [ImageOps.invert(image) for image in images]
    )
    return NodeResult((inverted,))


@NODES.node("ImageBlur")
async def _image_blur(context: NodeContext, inputs: Inputs) -> NodeResult:
    images: Images = inputs["image"]
    blur = ImageFilter.GaussianBlur(min(inputs["blur_radius"], 3 * inputs["sigma"]))
    blurred = await context.work(pixels(images), lambda: [image.filter(blur) for image in images])
    return NodeResult((blurred,))


@NODES.node("ImageBatch")
async def _image_batch(context: NodeContext, inputs: Inputs) -> NodeResult:
    first: Images = inputs["image1"]
    size = first[0].size
    second = [
        image if image.size == size else resize(image, *size, "bilinear", "center")
        for image in inputs["image2"]
    ]
    return NodeResult((first + second,))


@NODES.node("ImagePadForOutpaint")
async def _image_pad(context: NodeContext, inputs: Inputs) -> NodeResult:
    left, top = inputs["left"], inputs["top"]
    padded, mask = [], None
    for image in inputs["image"]:
        size = (left + image.width + inputs["right"], top + image.height + inputs["bottom"])
        canvas = Image.new("RGB", size, (127, 127, 127))
        canvas.paste(image, (left, top))
        padded.append(canvas)
        if mask is None:
            mask = Image.new("L", size, 255)
            mask.paste(0, (left, top, left + image.width, top + image.height))
    return NodeResult((padded, [mask]))


@NODES.node("GetImageSize")
async def _image_size(context: NodeContext, inputs: Inputs) -> NodeResult:
    images: Images = inputs["image"]
    width, height, batch = images[0].width, images[0].height, len(images)
    # The real node forgets to say to whom, so every client gets it.
    context.report.text(f"width: {width}, height: {height}\n batch size: {batch}", everybody=True)
    return NodeResult((width, height, batch))


@NODES.node("PreviewAny")
async def _preview_any(context: NodeContext, inputs: Inputs) -> NodeResult:
    return NodeResult((), {"text": [str(inputs["source"])]})


@NODES.node("SaveImage")
async def _save_image(context: NodeContext, inputs: Inputs) -> NodeResult:
    root = context.folders.output
    files = await _save_all(context, inputs["images"], root, inputs["filename_prefix"], 4)
    return NodeResult((), {"images": [{**file, "type": "output"} for file in files]})


@NODES.node("PreviewImage")
async def _preview_image(context: NodeContext, inputs: Inputs) -> NodeResult:
    letters = "".join(context.rng.choices(_TEMP_LETTERS, k=5))
    root = context.folders.base / "temp"
    files = await _save_all(context, inputs["images"], root, f"ComfyUI_temp_{letters}", 1)
    return NodeResult((), {"images": [{**file, "type": "temp"} for file in files]})


async def _save_all(
    context: NodeContext, images: Images, root: Path, prefix: str, compress_level: int
) -> list[dict[str, Any]]:
    place = save_place(root, prefix, *images[0].size)
    info = png_info(context.prompt, context.extra_pnginfo)
    files = []
    for offset, image in enumerate(images):
        name = place.file_name(offset, ".png")
        amount = image.width * image.height
        await context.work(amount, save_png, image, place.folder / name, info, compress_level)
        files.append({"filename": name, "subfolder": place.subfolder})
    return files


@NODES.node("SaveAnimatedWEBP")
async def _save_webp(context: NodeContext, inputs: Inputs) -> NodeResult:
    images: Images = inputs["images"]
    place = save_place(context.folders.output, inputs["filename_prefix"], *images[0].size)
    name = place.file_name(0, ".webp")

    def save() -> None:
        images[0].save(
            place.folder / name,
            save_all=True,
            append_images=images[1:],
            duration=int(1000 / inputs["fps"]),
            lossless=inputs["lossless"],
            quality=inputs["quality"],
            method=_WEBP_EFFORT[inputs["method"]],
        )

    await context.work(pixels(images), save)
    file = {"filename": name, "subfolder": place.subfolder, "type": "output"}
    return NodeResult((), {"images": [file], "animated": [len(images) != 1]})


@NODES.node("SaveImageWebsocket", changed=_always)
async def _send_image(context: NodeContext, inputs: Inputs) -> NodeResult:
    images: Images = inputs["images"]
    for step, image in enumerate(images):
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        context.report.progress(step, len(images), Preview("PNG", buffer.getvalue()))
    return NodeResult(())
