"""The ``files`` section: how long files stay, how many, and where copies go."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator

from config.values import Bytes, Model, Seconds

_WORD: Final = re.compile(r"\{([^{}]*)\}")
#: what a delivery folder may be made of
DELIVERY_WORDS: Final = ("group", "user", "date", "year", "month", "day")


def fixed_root(template: str) -> Path:
    """The folder of a delivery template before its first word: nothing is written outside."""
    return Path(template.partition("{")[0].rpartition("/")[0] or "/")


def _deliver(template: str) -> str:
    """An absolute folder with known words in braces. Raises ValueError on others."""
    unknown = sorted(set(_WORD.findall(template)) - set(DELIVERY_WORDS))
    if unknown:
        known = ", ".join(f"{{{word}}}" for word in DELIVERY_WORDS)
        raise ValueError(f"{{{unknown[0]}}} is unknown; there are {known}")
    if "{" in _WORD.sub("", template) or "}" in _WORD.sub("", template):
        raise ValueError("a brace is not closed")
    if not template.startswith("/") or ".." in template.split("/"):
        raise ValueError("write an absolute folder without '..', for example /mnt/shots/{user}")
    if fixed_root(template) == Path("/"):
        raise ValueError("its first folder must be fixed, for example /mnt/shots/{user}")
    return template


class Files(Model):
    """Uploads of users and outputs of workers: how much and how long is kept, where copies go."""

    upload_quota: Bytes | None = None
    """Most bytes of uploads that one user may keep; a further upload is refused (413 `quota_exceeded`). Unset: no limit."""
    output_quota: Bytes | None = None
    """Most bytes of outputs that one user may keep; beyond them the oldest are deleted, each hour. Unset: no limit."""
    keep_uploads: Seconds | None = None
    """Uploads older than this are deleted, unless an unfinished job needs them; unset: never."""
    keep_outputs: Seconds | None = None
    """Outputs older than this are deleted, unless an unfinished job needs them; unset: never."""
    keep_temp: Seconds = 604800.0
    """The same for previews and other temporary files. Workers empty their temp folders at each start, too."""
    min_free: Bytes = 2**30
    """Room to be left on a disk: below it uploads are refused (507 `disk_full`), and workers whose outputs go there take no jobs."""
    deliver: Annotated[str, AfterValidator(_deliver)] | None = None
    """Folder that gets a copy of every output of a prompt that succeeded, for example `/mnt/shots/{group}/{user}/{date}`, as the host of `vramgate jobs` sees it. Words: `{group}`, `{user}`, `{date}`, `{year}`, `{month}`, `{day}`. Unset: none."""
