"""What a probe inside the worker tells of an attempt."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What the probe inside the worker's process saw of one attempt; 0 and "": it could not tell."""

    #: device footprint that it could not do without: torch's allocated peak and the context
    needed_bytes: int = 0
    #: footprint within which the process was kept meanwhile; 0: no limit
    limit_bytes: int = 0
    #: footprint of the process once the job's spare memory had been given back
    left_bytes: int = 0
    #: models that came to the device, and seconds that this took
    loads: int = 0
    load_seconds: float = 0.0
    #: a node's work did not fit and went another way: ``tiled``, ``cpu``
    fallback: str = ""
    #: a model came to the device only in part
    partial: bool = False

    @property
    def squeezed(self) -> bool:
        """It had less memory than it would have liked, and shows it."""
        return self.partial or bool(self.fallback)
