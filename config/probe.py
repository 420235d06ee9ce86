"""The ``probe`` section: what the probe inside our workers tells and does (docs/probe.md)."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from config.values import Bytes, Model


class Texts(StrEnum):
    """What becomes of text inputs before anything leaves a worker."""

    HASH = "hash"
    DROP = "drop"
    KEEP = "keep"


class Limit(StrEnum):
    """Whether a worker is told how much memory it may take."""

    AUTO = "auto"
    OBSERVED = "observed"


class Redact(Model):
    """What records do not tell."""

    texts: Texts = Texts.HASH
    """Prompt texts and other text inputs. `hash`: a keyed hash, so that equal texts look equal; `drop`: nothing; `keep`: as they are."""
    inputs: tuple[str, ...] = ("*key*", "*token*", "*password*")
    """Patterns of names of inputs whose values are never told."""


class Capture(Model):
    """Small previews of what nodes made."""

    enabled: bool = False
    """`true`: the owner of a job sees previews of its intermediate pictures."""
    pixels: int = Field(256, ge=16, le=1024)
    """Longer side of a preview."""
    budget: Bytes = 32 * 2**20
    """Memory of a worker that previews may take; the oldest go first."""


class Probe(Model):
    """The probe in the ComfyUIs that the agent starts (docs/probe.md)."""

    enabled: bool = True
    """`false`: workers are started without it: no records, no limits, memory as the driver tells it."""
    limit: Limit = Limit.AUTO
    """`auto`: a worker is kept within its job's reservation as well as its ComfyUI allows. `observed`: never."""
    redact: Redact = Redact()
    capture: Capture = Capture()
