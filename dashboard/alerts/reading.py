"""One figure that a rule looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A figure of one subject at the moment of a look."""

    #: what it is about: ``gpu:<id>``, ``worker:<id>``, ``agent:<id>``, ``user:<name>``,
    #: ``group:<name>``, ``node:<class>``, ``pool``, ``recorder``
    subject: str
    #: in the unit of the rule's kind; None: not known just now, so that nothing changes
    value: float | None
    #: whose it is, "": nobody's in particular
    user: str = ""
    group: str = ""
    #: where it is another than the rule's
    limit: float | None = None
    #: a sentence (``text``), and where to look: job, attempt, node, gpu, worker, agent. Never
    #: anything of a prompt
    detail: Mapping[str, Any] = field(default_factory=dict)
