"""Runs small kernels of the kinds that prompts use, so that the first prompt need not load them.

A process's first prompt takes 3.4 s longer than later cold ones (H200): CUDA loads kernels on first
use, cuDNN and cuBLAS make their handles and pick their algorithms.
"""

from __future__ import annotations

from typing import Any

#: shapes of SD 1.5's and SDXL's U-Nets and VAEs, small: channels (in, out) and pixels on a side
_CHANNELS = ((4, 320), (320, 640), (640, 1280))
_SIDE = 32
#: head sizes of their attention
_HEADS = (40, 64, 512)


def warm(torch: Any, device: Any, dtype: Any) -> None:
    """Run them once, in the prompts' thread.

    Args:
        torch: the module.
        device: where to.
        dtype: of the tensors; half floats are what prompts mostly use.
    """
    functional = torch.nn.functional
    with torch.inference_mode():
        for before, after in _CHANNELS:
            _convolve(torch, functional, device, dtype, before, after)
        for size in _HEADS:
            head = torch.ones((2, 8, 256, size), device=device, dtype=dtype)
            functional.scaled_dot_product_attention(head, head, head)
        # the noise, the schedule and the picture are whole floats
        noise = torch.randn((1, 4, _SIDE, _SIDE), device="cpu").to(device)
        (noise * 0.5 + noise.to(dtype).float()).clamp(-1, 1).mean().item()


def _convolve(
    torch: Any, functional: Any, device: Any, dtype: Any, before: int, after: int
) -> None:
    picture = torch.ones((2, before, _SIDE, _SIDE), device=device, dtype=dtype)
    kernel = torch.ones((after, before, 3, 3), device=device, dtype=dtype)
    bias = torch.ones((after,), device=device, dtype=dtype)
    for stride in (1, 2):
        hidden = functional.conv2d(picture, kernel, bias, stride=stride, padding=1)
    hidden = functional.group_norm(hidden, 4, bias, bias)
    hidden = functional.interpolate(functional.silu(hidden), scale_factor=2.0, mode="nearest")
    rows = hidden.flatten(2).transpose(1, 2)
    rows = functional.layer_norm(rows, (after,), bias, bias)
    square = torch.ones((after * 2, after), device=device, dtype=dtype)
    gate, value = functional.linear(rows, square).chunk(2, dim=-1)
    torch.softmax((functional.gelu(gate) * value).float(), dim=-1)
