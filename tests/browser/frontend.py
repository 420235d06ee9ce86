"""ComfyUI's own frontend in a page, driven through its public app object."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Page, Route, WebSocket


class Frontend:
    """One tab. Requests to other hosts are cut off: there is no internet in a test."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.frames: list[dict[str, Any]] = []
        self.previews: list[bytes] = []
        self.failed: list[str] = []

    async def load(self, key: str) -> None:
        """Log in by ``?token=`` as a person would paste it, and wait for the canvas."""
        await self.page.route("**/*", self._only_ours)
        self.page.on("websocket", self._listen)
        self.page.on("pageerror", lambda error: self.failed.append(str(error)))
        await self.page.goto(f"{self.url}/?token={key}")
        assert "token" not in self.page.url
        await self._wait_for_app()
        self.failed.clear()  # 1.27.10 stumbles over empty settings, in front of a bare ComfyUI too

    async def reload(self) -> None:
        await self.page.reload()
        await self._wait_for_app()

    async def _wait_for_app(self) -> None:
        await self.page.wait_for_function(
            """() => window.app?.api?.clientId
                && window.app.extensionManager?.workflow?.activeWorkflow
                && !window.app.extensionManager.spinner""",
            timeout=60_000,
        )
        await self.page.wait_for_timeout(500)  # the first workflow is still being drawn

    async def _only_ours(self, route: Route) -> None:
        if urlsplit(route.request.url).netloc == urlsplit(self.url).netloc:
            await route.continue_()
        else:
            await route.abort()

    def _listen(self, socket: WebSocket) -> None:
        self.frames.clear()  # what the tab knew before a reload is gone
        socket.on("framereceived", self._keep)

    def _keep(self, payload: str | bytes) -> None:
        if isinstance(payload, bytes):
            self.previews.append(payload)
        else:
            self.frames.append(json.loads(payload))

    async def open_graph(self, prompt: dict[str, Any]) -> None:
        """Put an API-format graph on the canvas."""
        await self.page.evaluate(
            "prompt => { window.app.graph.clear(); window.app.loadApiJson(prompt, 'test'); }",
            prompt,
        )

    async def command(self, name: str) -> None:
        """Run one of the frontend's own commands, as its buttons do."""
        await self.page.evaluate(
            "name => { window.app.extensionManager.command.execute(name) }", name
        )

    async def press_run(self) -> None:
        await self.page.get_by_test_id("queue-button").first.click()

    async def wait_for(self, type_: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until this many frames of a type have come."""
        for _ in range(600):
            found = [frame["data"] for frame in self.frames if frame["type"] == type_]
            if len(found) >= count:
                return found
            await self.page.wait_for_timeout(50)
        raise TimeoutError(
            f"{count} × {type_} did not come; got {[f['type'] for f in self.frames]}"
        )

    async def ended(self, count: int = 1) -> None:
        """Wait until this many prompts are over."""
        for _ in range(1200):
            ends = [
                f for f in self.frames if f["type"] == "executing" and f["data"]["node"] is None
            ]
            if len(ends) >= count:
                return
            await self.page.wait_for_timeout(50)
        raise TimeoutError(f"{count} prompts did not end")

    async def pictures(self) -> list[dict[str, Any]]:
        """Pictures that output nodes on the canvas show: their size, once decoded."""
        await self.command("Comfy.Canvas.FitView")  # nodes out of sight load nothing
        shown: list[dict[str, Any]] = await self.page.evaluate(
            """async () => {
                const found = [];
                for (const node of window.app.graph._nodes) {
                    for (const image of node.imgs ?? []) {
                        await image.decode().catch(() => null);
                        found.push({type: node.type, width: image.naturalWidth, src: image.src});
                    }
                }
                return found;
            }"""
        )
        return shown

    async def saved_pictures(self) -> list[dict[str, Any]]:
        """Wait for the pictures that SaveImage nodes show."""
        for _ in range(200):
            if found := [p for p in await self.pictures() if p["type"] == "SaveImage"]:
                return found
            await self.page.wait_for_timeout(50)
        raise TimeoutError("no SaveImage node shows a picture")

    async def screenshot(self, path: str) -> None:
        await self.page.screenshot(path=path)
