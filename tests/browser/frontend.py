"""ComfyUI's own frontend in a tab: what is the same in both versions, and what a tab hears."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from playwright.async_api import Locator, Page, WebSocket
from playwright.async_api import TimeoutError as PageTimeoutError

from tests.browser.problems import Problems

#: seconds for anything that a page is waited for: two cores may be busy with other tests
PATIENCE_S: Final = 120.0
#: times that a file is dropped before a page counts as deaf
_DROPS: Final = 4
#: begins a frame of progress text
_TEXT: Final = b"\0\0\0\3"
_READY: Final = """() => window.app?.api?.clientId
    && window.app.extensionManager?.workflow?.activeWorkflow
    && !window.app.extensionManager.spinner"""
#: of all nodes of a type: width and address of each picture; null before all are decoded, and
#: while one has another name: a node may still show what one of its id made before
_PICTURES: Final = """([type, named]) => {
    const nodes = window.app.graph._nodes.filter(node => node.type === type);
    const images = nodes.flatMap(node => node.imgs ?? []);
    if (!images.length || !images.every(image => image.naturalWidth)) return null;
    if (!images.every(image => image.src.includes(named))) return null;
    return images.map(image => ({width: image.naturalWidth, src: image.src}));
}"""
_ROWS: Final = """where => [...document.querySelectorAll(where)].map(row => {
    const images = [...row.querySelectorAll('img')].filter(image => image.naturalWidth);
    const src = images.map(image => image.src).find(src => src.includes('/view'));
    return [row.innerText.trim(), src ?? null];
})"""
_DROP: Final = """async ([name, text, onto]) => {
    const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], name, {type: 'image/png'}));
    const canvas = document.querySelector('#graph-canvas');
    const frame = canvas.getBoundingClientRect();
    const node = window.app.graph._nodes.find(node => node.type === onto);
    const [x, y] = node
        ? window.app.canvas.ds.convertOffsetToCanvas([node.pos[0] + 40, node.pos[1] + 20])
        : [frame.width / 2, frame.height - 200];
    const where = {dataTransfer, bubbles: true, cancelable: true,
        clientX: frame.left + x, clientY: frame.top + y};
    for (const step of ['dragenter', 'dragover', 'drop']) {
        canvas.dispatchEvent(new DragEvent(step, where));
        await new Promise(requestAnimationFrame);
    }
}"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the queue panel: its words, and the address of its thumbnail if it shows one."""

    text: str
    thumbnail: str | None


class Frontend(ABC):
    """One tab."""

    #: the panel's entries
    entries: str
    #: what the panel may call a prompt that waits
    pending: tuple[str, ...]
    #: whether the workflow that a new user sees needs nothing but core nodes of Stable Diffusion
    default_runs: bool

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.problems = Problems(page, url)
        self.frames: list[dict[str, Any]] = []
        self.previews: list[bytes] = []
        self.texts: list[bytes] = []
        self._remaining = 0
        self._news = asyncio.Event()
        page.on("websocket", self._listen)
        page.set_default_timeout(PATIENCE_S * 1000)

    # ── opening ───────────────────────────────────────────────────────────────

    async def log_in(self, key: str) -> None:
        """Through the page that asks for the key."""
        await self.page.goto(self.url + "/")
        await self.page.get_by_label("Your key").fill(key)
        await self.page.get_by_role("button", name="Log in").click()
        await self.ready()

    async def reload(self) -> None:
        """What the tab knew before is gone."""
        await self.page.reload()
        await self.ready()

    async def ready(self) -> None:
        await self.page.wait_for_function(_READY)
        # the first frame of the socket, and a first drawing of the graph
        await self.heard("status")
        await self.page.wait_for_function("() => window.app.canvas?.graph && !document.hidden")

    async def rest(self) -> None:
        """Empty queue, history and canvas: the next test starts anew."""
        await self.page.keyboard.press("Escape")
        await self.post("queue", {"clear": True})
        await self.post("interrupt", {})
        await self.until(lambda: self.remaining() == 0)
        await self.post("history", {"clear": True})
        await self.page.evaluate("() => window.app.graph.clear()")
        self.frames.clear()
        self.previews.clear()
        self.texts.clear()

    async def post(self, path: str, body: dict[str, Any]) -> int:
        """Ask for something as the page's own scripts do; the status of the answer."""
        status: int = await self.page.evaluate(
            """async ([path, body]) => (await fetch('/api/' + path,
                {method: 'POST', body: JSON.stringify(body)})).status""",
            [path, body],
        )
        return status

    async def get(self, path: str) -> Any:
        """The JSON of an answer, or the bare status where it is no 200."""
        return await self.page.evaluate(
            """async path => {
                const answer = await fetch(path);
                return answer.ok ? await answer.json() : answer.status;
            }""",
            path,
        )

    # ── what it hears ─────────────────────────────────────────────────────────

    def _listen(self, socket: WebSocket) -> None:
        self.frames.clear()
        socket.on("framereceived", self._keep)

    def _keep(self, payload: str | bytes) -> None:
        if isinstance(payload, str):
            self.frames.append(json.loads(payload))
        elif payload.startswith(_TEXT):
            self.texts.append(payload)
        else:
            self.previews.append(payload)
        self._news.set()

    def told(self, type_: str) -> list[dict[str, Any]]:
        """The data of all frames of a type so far."""
        return [frame["data"] for frame in self.frames if frame["type"] == type_]

    async def until(self, true: Callable[[], Any]) -> None:
        """Wait until what was heard makes it true."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not true():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            kinds = [frame["type"] for frame in self.frames]
            raise TimeoutError(
                f"it never came; {len(self.previews)} previews and {kinds}"
            ) from None

    async def heard(self, type_: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until this many frames of a type have come."""
        await self.until(lambda: len(self.told(type_)) >= count)
        return self.told(type_)

    async def ended(self, count: int = 1) -> None:
        """Wait until this many prompts are over, and the queue is told to be empty of them."""
        await self.until(lambda: sum(d["node"] is None for d in self.told("executing")) >= count)

    def remaining(self) -> int:
        """The length of the queue by the newest ``status``."""
        statuses = self.told("status")
        if statuses:
            self._remaining = statuses[-1]["status"]["exec_info"]["queue_remaining"]
        return self._remaining

    # ── what a person does ────────────────────────────────────────────────────

    async def open_graph(self, prompt: dict[str, Any]) -> None:
        """Put an API-format graph on the canvas."""
        await self.page.evaluate(
            "prompt => { window.app.graph.clear(); window.app.loadApiJson(prompt, 'test'); }",
            prompt,
        )

    async def command(self, name: str) -> None:
        """Run one of the frontend's own commands, as its menus and keys do; do not wait for it."""
        await self.page.evaluate(
            "name => { window.app.extensionManager.command.execute(name) }", name
        )

    async def press_run(self) -> None:
        await self.page.get_by_role("button", name="Run", exact=True).first.click()

    async def press_cancel(self) -> None:
        await self.page.get_by_role("button", name="Cancel current run").click()

    async def drop(self, name: str, content: bytes, onto: str | None = None) -> None:
        """A picture from the desktop onto the only node of a type, or onto the empty canvas."""
        text = base64.b64encode(content).decode()
        await self.page.evaluate(_DROP, [name, text, onto])

    async def drop_workflow(self, name: str, content: bytes) -> None:
        """A picture onto the empty canvas, until its workflow is there.

        A page that still works on its last graph may take no notice of a file; people drop it
        once more.
        """
        for _ in range(_DROPS):
            await self.drop(name, content)
            try:
                await self.page.wait_for_function(
                    "() => window.app.graph._nodes.length > 0",
                    timeout=PATIENCE_S * 1000 / _DROPS,
                )
            except PageTimeoutError:
                continue
            return
        raise TimeoutError(f"the page took no notice of {name}, dropped {_DROPS} times")

    async def select(self, node_type: str) -> None:
        await self.page.evaluate(
            """type => window.app.canvas.selectNode(
                window.app.graph._nodes.find(node => node.type === type))""",
            node_type,
        )

    async def save_workflow(self, name: str) -> None:
        """Under a name, as the menu's *Save* asks for one."""
        await self.command("Comfy.SaveWorkflow")
        field = self.page.get_by_role("dialog").get_by_role("textbox")
        await field.fill(name)
        async with self.page.expect_response(
            lambda answer: (
                answer.request.method == "POST" and "/api/userdata/workflows" in answer.url
            )
        ):
            await field.press("Enter")

    async def open_workflow(self, name: str) -> None:
        """From the sidebar's list."""
        await (await self._workflow(name)).click()

    async def delete_workflow(self, name: str) -> None:
        """By its menu in the sidebar's list."""
        await (await self._workflow(name)).click(button="right")
        await self.page.get_by_role("menuitem", name="Delete").click()
        async with self.page.expect_response(lambda answer: answer.request.method == "DELETE"):
            await self.page.get_by_role("dialog").get_by_role("button", name="Delete").click()

    # ── what it shows ─────────────────────────────────────────────────────────

    async def pictures(
        self, node_type: str = "SaveImage", *, named: str = ""
    ) -> list[dict[str, Any]]:
        """Wait for the pictures on the nodes of a type, all with this in their addresses."""
        await self.command("Comfy.Canvas.FitView")  # nodes out of sight load nothing
        found = await self.page.wait_for_function(_PICTURES, arg=[node_type, named])
        shown: list[dict[str, Any]] = await found.json_value()
        return shown

    async def widgets(self, node_type: str) -> dict[str, Any]:
        """Name → value of the widgets of the only node of a type, once it is there."""
        try:
            found = await self.page.wait_for_function(
                """type => {
                    const [node] = window.app.graph._nodes.filter(node => node.type === type);
                    return node && Object.fromEntries(node.widgets.map(w => [w.name, w.value]));
                }""",
                arg=node_type,
            )
        except PageTimeoutError:
            types = await self.page.evaluate("() => window.app.graph._nodes.map(node => node.type)")
            raise TimeoutError(f"no {node_type} came, the graph has {types}") from None
        values: dict[str, Any] = await found.json_value()
        return values

    async def marked(self) -> list[str]:
        """Types of the nodes that are drawn with a red frame."""
        found: list[str] = await self.page.evaluate(
            """() => window.app.graph._nodes.filter(node => node.has_errors
                || node.strokeStyles?.nodeError?.call(node)
                || node.strokeStyles?.executionError?.call(node)).map(node => node.type)"""
        )
        return found

    async def panel(self, ready: Callable[[list[Entry]], bool]) -> list[Entry]:
        """Wait until the queue panel shows what is wanted; its entries, newest first."""
        shown: list[Entry] = []
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    shown = [Entry(*row) for row in await self.page.evaluate(_ROWS, self.entries)]
                    if ready(shown):
                        return shown
                    await self.page.evaluate("() => new Promise(requestAnimationFrame)")
        except TimeoutError:
            raise TimeoutError(f"the panel never showed it, but {shown}") from None

    async def menu(self, entry: int, choice: str) -> None:
        """Choose from the menu of one of the panel's entries."""
        await self.page.locator(self.entries).nth(entry).click(button="right")
        await self.page.get_by_role("menuitem", name=choice).click()

    def waits(self, entry: Entry) -> bool:
        """Whether the panel says that this prompt has not started."""
        return any(word in entry.text for word in self.pending)

    @abstractmethod
    async def open_panel(self) -> None:
        """Show queue and history, if they are not shown yet."""

    @abstractmethod
    async def clear_pending(self) -> None:
        """Press what clears the queue; the panel is open."""

    @abstractmethod
    async def drop_pending(self, entry: int) -> None:
        """Take one waiting prompt out of the queue by its menu; the panel is open."""

    @abstractmethod
    async def open_made(self, entry: int) -> None:
        """Open the workflow of an ended prompt by its menu; the panel is open."""

    @abstractmethod
    async def error_text(self) -> str:
        """Wait for the message about what went wrong, with its details."""

    @abstractmethod
    async def save_mask(self) -> None:
        """In the open mask editor: one stroke over the middle, then save."""

    async def _workflow(self, name: str) -> Locator:
        tab = self.page.locator(".workflows-sidebar-tab")
        if not await tab.is_visible():
            await self.page.get_by_label("Workflows (w)").click()
        # the older one lists files, the newer one names
        return tab.get_by_text(re.compile(rf"^{re.escape(name)}(\.json)?$")).last

    async def stroke(self, canvas: Locator) -> None:
        """Draw over the middle of something."""
        box = await canvas.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        await self.page.mouse.move(x, y)
        await self.page.mouse.down()
        await self.page.mouse.move(x + 40, y + 20, steps=4)
        await self.page.mouse.move(x - 40, y - 20, steps=4)
        await self.page.mouse.up()
