"""What a kind of workflow needed before: one small record per fingerprint."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Final

#: A smaller peak pulls the remembered one down by this share of the difference per run.
_PEAK_DECAY: Final = 0.1
#: Runs that the mean of seconds looks back on; older ones fade.
_SECONDS_WINDOW: Final = 20
#: Need after an out-of-memory: a fifth more than was in use, at least 256 MiB more
#: (the rule of Kubernetes' vertical autoscaler).
_OOM_FACTOR: Final = 1.2
_OOM_STEP: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class Profile:
    """Peaks and durations of the runs so far."""

    #: runs seen
    count: int
    #: largest device footprint in bytes, slowly forgetting; 0: never measured
    peak_bytes: int
    #: mean run time
    seconds: float


def observe(
    profile: Profile | None, peak_bytes: int, seconds: float, *, oom: bool = False
) -> Profile:
    """Returns the profile with one more run in it.

    Args:
        profile: what was known; None: nothing.
        peak_bytes: highest device footprint of the run; 0: not measured.
        seconds: how long it ran; not counted for a run that ended out of memory.
        oom: it ran out of memory at ``peak_bytes``, so it needs more than that.
    """
    old = profile or Profile(0, 0, 0.0)
    if oom:
        raised = max(peak_bytes + _OOM_STEP, int(peak_bytes * _OOM_FACTOR))
        return Profile(old.count, max(old.peak_bytes, raised), old.seconds)
    weight = 1 / min(old.count + 1, _SECONDS_WINDOW)
    mean = old.seconds + (max(0.0, seconds) - old.seconds) * weight
    return Profile(old.count + 1, _remember(old.peak_bytes, peak_bytes), mean)


def _remember(old: int, new: int) -> int:
    if new <= 0 or new >= old:
        return max(old, new)
    return old - int((old - new) * _PEAK_DECAY)


def to_json(profile: Profile) -> str:
    """One line of JSON that ``from_json`` reads."""
    return json.dumps(asdict(profile), separators=(",", ":"))


def from_json(text: str | bytes) -> Profile:
    """Reads a profile.

    Raises:
        ValueError: the text is no profile; drop the record, it will be learned again.
    """
    record = json.loads(text)
    if not isinstance(record, dict):
        raise ValueError("a profile must be a JSON object: drop this record")
    count, peak = _number(record, "count"), _number(record, "peak_bytes")
    return Profile(int(count), int(peak), _number(record, "seconds"))


def _number(record: dict[str, Any], key: str) -> float:
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"a profile's {key} must be a number >= 0: drop this record")
    return value
