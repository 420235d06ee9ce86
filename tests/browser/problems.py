"""What a tab met on its way: answers of 400 and above, console errors, exceptions; and a verdict.

Everything is unexpected but what is listed here with its reason, or what a test has announced.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from playwright.async_api import ConsoleMessage, Error, Page, Response

#: (method, path and query, status) → why it may be
_MAY_ANSWER: Final = (
    (r"GET /user\.css 404", "no style of one's own; ComfyUI answers so"),
    (r"GET /api/userdata/user\.css 404", "the same"),
    (r"GET /api/userdata\?dir=(workflows|subgraphs)(%2F)?&\S* 404", "nothing saved yet"),
    (r"GET /api/userdata/comfy\.templates\.json 404", "no node templates saved yet"),
    (r"GET /api/userdata/workflows%2F\.index\.json 404", "no bookmarks yet"),
    (r"GET /templates/\S*\.json 404", "a simulated worker has no templates"),
)
#: console error → why it may be
_MAY_SAY: Final = (
    (r"Failed to load resource: the server responded with a status of \d+", "judged above"),
    (r"Refused to apply style from '\S*/user\.css'", "see user.css above"),
)
#: uncaught exception → why it may be
_MAY_THROW: Final = (
    (
        r"Cannot read properties of undefined \(reading 'id'\)",
        "1.27.10 at each load, in front of a bare ComfyUI too",
    ),
)


class Problems:
    """Listens to one page from its beginning."""

    def __init__(self, page: Page, url: str) -> None:
        self._host = urlsplit(url).netloc
        self._found: list[str] = []
        self._announced: list[str] = []
        page.on("response", self._response)
        page.on("console", self._console)
        page.on("pageerror", self._thrown)

    def expect(self, *patterns: str) -> None:
        """Announce problems: ``POST /api/prompt 400``, or the text of a console error."""
        self._announced += patterns

    def unexpected(self) -> list[str]:
        """What may not be, each once, and nothing twice over several calls."""
        left = [one for one in self._found if not self._allowed(one)]
        self._found.clear()
        self._announced.clear()
        return list(dict.fromkeys(left))

    def _allowed(self, problem: str) -> bool:
        patterns = [*self._announced, *(p for p, _ in (*_MAY_ANSWER, *_MAY_SAY, *_MAY_THROW))]
        return any(re.match(pattern, problem) for pattern in patterns)

    def _ours(self, url: str) -> bool:
        return urlsplit(url).netloc == self._host

    def _response(self, response: Response) -> None:
        if response.status >= 400 and self._ours(response.url):
            place = response.url.split(self._host, 1)[1]
            self._found.append(f"{response.request.method} {place} {response.status}")

    def _console(self, message: ConsoleMessage) -> None:
        # what cannot be had from elsewhere is no fault of ours: there is no internet in a test
        if message.type == "error" and self._ours(message.location["url"]):
            self._found.append(message.text)

    def _thrown(self, error: Error) -> None:
        self._found.append(str(error))
