"""What a prompt will need: from its graph, the sizes of what it loads, and earlier runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.comfy_api.inputs import FileKey
from gateway.context import Services
from gateway.names import is_picture
from scheduler.estimate import Estimate, estimate
from scheduler.states import InputFile
from scheduler.workflow.features import Features, features
from scheduler.workflow.passed_pictures import PASSED
from scheduler.workflow.validation import Validation

#: pictures of one prompt whose headers are read; no real graph has more
_MOST_PICTURES: Final = 100


@dataclass(frozen=True, slots=True)
class Need:
    """What to book for a prompt, and what kind of workflow it is."""

    kind: Features
    estimate: Estimate
    #: runs of this very kind that the estimate rests on
    runs: int


async def need_of(
    found: Services,
    checked: Validation,
    object_info: Mapping[str, Any],
    files: Mapping[FileKey, InputFile],
) -> Need:
    """The need of a validated prompt.

    Raises:
        LedgerUnavailable: what was learned cannot be read.
    """
    kind = features(
        checked.prompt,
        object_info or None,
        sizes=await found.info.model_sizes(),
        image_sizes=await _picture_sizes(found, files),
        outputs=checked.outputs or None,
    )
    profiles = await found.learned.of([kind.fingerprint, *kind.parents])
    own = profiles[0]
    return Need(kind, estimate(kind, profiles), 0 if own is None else own.count)


async def _picture_sizes(
    found: Services, files: Mapping[FileKey, InputFile]
) -> dict[str, tuple[int, int]]:
    """(width, height) of the pictures among a prompt's files, by name."""
    pictures = {
        path: file for (kind, path), file in files.items() if kind == PASSED or is_picture(path)
    }
    named = list(pictures.items())[:_MOST_PICTURES]
    sizes = await asyncio.gather(*(found.peers.picture_size(file) for _, file in named))
    return {path: size for (path, _), size in zip(named, sizes, strict=True) if size is not None}
