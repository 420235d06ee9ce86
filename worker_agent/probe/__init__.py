"""A node pack for ComfyUI that tells what a prompt costs (docs/probe.md).

Imported as part of vramgate it does nothing; loaded by ComfyUI as a node pack it starts the probe.
"""

from __future__ import annotations

if __name__ != "worker_agent.probe":
    from .pack import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS, start

    start()

    __all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
