"""*Performance Monitor*: a node that changes nothing and marks a place in the records."""

from __future__ import annotations

from typing import Any

#: the node's class, as prompts name it
CLASS = "VramgatePerformanceMonitor"

#: characters of a label
_LABEL = 100


class AnyType(str):
    """A type that every check for a difference finds equal: how ComfyUI's packs say "anything"."""

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


ANY = AnyType("*")


class PerformanceMonitor:
    """Passes its input on. Its record carries the label, so that others can be told apart by it."""

    CATEGORY = "vramgate"
    DESCRIPTION = "Passes anything on unchanged and marks this place in vramgate's records."
    FUNCTION = "mark"
    RETURN_TYPES = (ANY,)
    RETURN_NAMES = ("anything",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """ComfyUI's description of the inputs."""
        return {
            "required": {
                "anything": (ANY, {}),
                "label": ("STRING", {"default": "marker"}),
            }
        }

    def mark(self, anything: Any, label: str) -> tuple[Any]:
        """The input, as it is."""
        return (anything,)


def label_of(inputs: dict[str, Any]) -> str:
    """The label that the user gave; it is meant to be read, and is told as it is."""
    label = inputs.get("label")
    return label[:_LABEL] if isinstance(label, str) else ""
