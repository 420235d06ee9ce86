"""What differs between the two frontends: where things are on their pages."""

from __future__ import annotations

from typing import Final

from tests.browser.frontend import Frontend
from tests.browser.frontends import LOCKED, NEWER


class Older(Frontend):
    """1.27.10: ``/queue`` and ``/history``, a sidebar, dialogs."""

    entries = ".side-bar-panel .task-item"
    pending = ("Pending",)
    default_runs = True

    async def open_panel(self) -> None:
        if not await self.page.get_by_title("Queue", exact=True).is_visible():
            await self.page.get_by_label("Queue (q)").click()
        await self.page.get_by_title("Queue", exact=True).wait_for()

    async def clear_pending(self) -> None:
        await self.page.get_by_label("Clear Pending Tasks").click()

    async def drop_pending(self, entry: int) -> None:
        await self.menu(entry, "Delete")

    async def open_made(self, entry: int) -> None:
        await self.menu(entry, "Load Workflow")

    async def error_text(self) -> str:
        dialog = self.page.get_by_role("dialog")
        await dialog.get_by_role("button", name="Show Report").click()
        await dialog.get_by_text("# ComfyUI Error Report").wait_for()
        return await dialog.inner_text()

    async def save_mask(self) -> None:
        await self.stroke(self.page.locator("#maskEditor_pointerZone"))
        await self.page.locator("#maskEditor_topBarSaveButton").click()
        await self.page.locator("#maskEditor").wait_for(state="hidden")


class Newer(Frontend):
    """1.58.1: ``/api/jobs``, a job queue over the canvas, an assets panel."""

    entries = "[data-job-id]"
    pending = ("In queue", "Job queued")
    # its default needs nodes that a simulated worker does not have
    default_runs = False

    async def open_panel(self) -> None:
        # while jobs run a small panel stands there, with the same buttons but without a list
        jobs = self.page.get_by_test_id("job-assets-list")
        if not await jobs.count():
            await self.page.get_by_test_id("queue-overlay-toggle").click()
        await jobs.wait_for(state="attached")

    async def clear_pending(self) -> None:
        await self.page.get_by_label("Clear queued").click()

    async def drop_pending(self, entry: int) -> None:
        await self.menu(entry, "Cancel job")

    async def open_made(self, entry: int) -> None:
        await self.menu(entry, "Open as workflow in new tab")

    async def error_text(self) -> str:
        await self.page.get_by_test_id("error-overlay-see-errors").click()
        panel = self.page.get_by_text("Error detected").locator("xpath=ancestor::*[4]")
        await panel.wait_for()
        return await panel.inner_text()

    async def save_mask(self) -> None:
        dialog = self.page.get_by_role("dialog")
        await self.stroke(dialog.locator("canvas").last)
        await dialog.get_by_role("button", name="Save").click()
        await dialog.wait_for(state="hidden")


FRONTENDS: Final[dict[str, type[Frontend]]] = {LOCKED: Older, NEWER: Newer}
