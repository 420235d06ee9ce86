"""What a client posts to ``/prompt``, understood or refused. Pure.

ComfyUI takes almost anything here and answers 500 to the rest; we answer 400
in its error shape, and say what was wrong.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from gateway.admission_door import Refusal
from gateway.hub import MAX_CLIENT_ID
from scheduler.states import Lane

LANE_HEADER: Final = "X-Vramgate-Lane"
DEADLINE_HEADER: Final = "X-Vramgate-Deadline"
KEY_HEADER: Final = "Idempotency-Key"
#: W3C's, version 00 or what a later one has in common with it
TRACE_HEADER: Final = "traceparent"
_TRACE: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
#: longest prompt_id and idempotency key that a client may choose, in characters
_MAX_ID: Final = 128
#: a deadline further away is none
_LONGEST_DEADLINE_S: Final = 365 * 86400
#: fields of ``extra_data`` that reach the worker, and nobody else
SECRETS: Final = ("auth_token_comfy_org", "api_key_comfy_org")

NO_PROMPT: Final = Refusal(400, "no_prompt", "No prompt provided", "No prompt provided")
_NO_GRAPH: Final = Refusal(
    400, "no_prompt", "No prompt provided", "Post a JSON object with the graph under 'prompt'."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A prompt as posted, its fields checked, its graph not yet."""

    #: node id → node
    prompt: dict[str, Any]
    #: without secrets and client_id
    extra_data: dict[str, Any]
    secrets: dict[str, Any]
    client_id: str | None
    #: the client's own choice; None: ours to make
    prompt_id: str | None
    front: bool
    lane: Lane
    idempotency_key: str | None
    #: seconds after submit by which it must have started; None: it may wait
    deadline_s: float | None
    #: True: queue it even where the forecast says that it misses its deadline
    accept_late: bool
    #: output nodes to run; None: all
    targets: list[str] | None


def decode(body: bytes) -> Any | Refusal:
    """The posted JSON. NaN and Infinity, which Python clients write, become null."""
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        return _too_deep()
    except (msgspec.DecodeError, UnicodeError):
        pass
    try:
        decoded = json.loads(body, parse_constant=lambda _: None)
        # msgspec writes strict JSON; what it cannot write cannot be stored
        msgspec.json.encode(decoded)
    except RecursionError:
        return _too_deep()
    except UnicodeEncodeError:
        return Refusal(
            400,
            "invalid_json",
            "A text in the body holds half a character",
            "A lone surrogate (\\ud800 to \\udfff) is no character; often an emoji cut in two.",
        )
    except (ValueError, UnicodeError) as error:
        return Refusal(400, "invalid_json", "The body is no JSON", str(error)[:200])
    return decoded


def understand(body: Any, headers: Mapping[str, str]) -> Posted | Refusal:
    """Check all fields but the graph.

    Args:
        body: the decoded JSON.
        headers: of the request; a header outranks the field of the same meaning.
    """
    if isinstance(body, dict) and "prompt" not in body:
        return NO_PROMPT
    if not isinstance(body, dict) or not isinstance(body["prompt"], dict):
        return _NO_GRAPH
    extra = body.get("extra_data")
    extra = dict(extra) if isinstance(extra, dict) else {}
    ours = extra.get("vramgate")
    ours = ours if isinstance(ours, dict) else {}
    trace = headers.get(TRACE_HEADER, "")
    if _TRACE.fullmatch(trace):
        # kept with the prompt: the job's own trace links to it (docs/metrics.md)
        extra["vramgate"] = ours = {**ours, TRACE_HEADER: trace}
    client_id = body.get("client_id", extra.pop("client_id", None))
    try:
        return Posted(
            prompt=body["prompt"],
            secrets={name: extra.pop(name) for name in SECRETS if name in extra},
            extra_data=extra,
            client_id=_client_id(client_id),
            prompt_id=_id("prompt_id", body.get("prompt_id")),
            front=_front(body),
            lane=_lane(headers.get(LANE_HEADER) or ours.get("lane")),
            idempotency_key=_id(
                "idempotency_key", headers.get(KEY_HEADER) or ours.get("idempotency_key")
            ),
            deadline_s=_deadline(headers.get(DEADLINE_HEADER), ours.get("deadline_s")),
            accept_late=ours.get("accept_late") is True,
            targets=_targets(body.get("partial_execution_targets")),
        )
    except _Bad as bad:
        return bad.refusal


class _Bad(Exception):
    """One field is wrong; never leaves this module."""

    def __init__(self, type_: str, message: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(400, type_, message)


def _too_deep() -> Refusal:
    return Refusal(400, "no_prompt", "No prompt provided", "The JSON is nested too deeply.")


def _client_id(value: Any) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    if len(value) > MAX_CLIENT_ID:
        raise _Bad("invalid_client_id", f"client_id may have {MAX_CLIENT_ID} characters")
    return value


def _id(name: str, value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    if not 0 < len(text) <= _MAX_ID or not text.isprintable():
        raise _Bad(f"invalid_{name}", f"{name} must be 1 to {_MAX_ID} printable characters")
    return text


def _front(body: Mapping[str, Any]) -> bool:
    """ComfyUI's two ways to the top, here of the user's own share."""
    number = body.get("number")
    if number is None:
        return bool(body.get("front"))
    try:
        place = float(number)
    except (TypeError, ValueError, OverflowError):
        raise _Bad("invalid_number", "number must be a number") from None
    if math.isnan(place):
        raise _Bad("invalid_number", "number must be a number")
    return place < 0


def _lane(value: Any) -> Lane:
    if value is None:
        return Lane.INTERACTIVE
    try:
        return Lane(value)
    except ValueError:
        names = " or ".join(lane.value for lane in Lane)
        raise _Bad("invalid_lane", f"lane must be {names}") from None


def _deadline(header: str | None, field: Any) -> float | None:
    """A header's text or a field's number, in seconds."""
    if header is None and field is None:
        return None
    name = DEADLINE_HEADER if header is not None else "deadline_s"
    given = header if header is not None else field
    try:
        # JSON's true would be one second
        seconds = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0 < seconds <= _LONGEST_DEADLINE_S:
        raise _Bad(
            "invalid_deadline",
            f"{name} must be seconds above 0, {_LONGEST_DEADLINE_S} (a year) at most",
        )
    return seconds


def _targets(value: Any) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise _Bad("invalid_targets", "partial_execution_targets must be a list of node ids")
    return [str(target) for target in value]
