"""Settings of node packs' routes: presets by name, and a studio's own rows."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from config.values import Model


class Access(StrEnum):
    """Who may use a route of a node pack, and which worker it reaches."""

    #: tells the same to everybody and changes nothing: any worker that has the route
    READ = "read"
    #: names one of the caller's files by filename, subfolder and type: the worker that holds it
    OWN_FILE = "own_file"
    #: acts on the prompt that runs: workers that run one of the caller's
    OWN_PROMPT = "own_prompt"
    #: changes a worker for everybody, or shows what is not the caller's: admins, one worker
    ADMIN = "admin"
    #: accepted and not passed on: it would change a worker for everybody, and clients call it
    #: without being asked to
    IGNORED = "ignored"


class PackName(StrEnum):
    """The packs whose routes were reviewed (docs/packs.md)."""

    CUSTOM_SCRIPTS = "custom-scripts"
    VIDEO_HELPER_SUITE = "video-helper-suite"
    IMPACT = "impact"
    RGTHREE = "rgthree"
    CRYSTOOLS = "crystools"
    EASY_USE = "easy-use"
    INSPIRE = "inspire"
    TOOLING_NODES = "tooling-nodes"
    KJNODES = "kjnodes"
    MANAGER = "manager"


#: what is ComfyUI's or ours, by first segment: never a pack's
OWN_PATHS = frozenset(
    {
        "api", "assets", "cluster", "dashboard", "docs", "embeddings", "experiment", "extensions",
        "features", "free", "healthz", "history", "i18n", "internal", "interrupt", "jobs", "k",
        "login", "logout", "metrics", "models", "object_info", "prompt", "queue", "readyz",
        "settings", "system_stats", "templates", "upload", "userdata", "users", "view",
        "view_metadata", "workflow_templates", "ws",
    }
)  # fmt: skip


def is_own(path: str) -> bool:
    """Whether a path is ComfyUI's own or ours, with or without ``/api``; ``path`` is decoded."""
    first = path.removeprefix("/api/").lstrip("/").partition("/")[0]
    return first in OWN_PATHS or first == ""


def _pack_path(value: str) -> str:
    """A path pattern of a pack. Raises ValueError where it is not one."""
    first = value.removeprefix("/api/").lstrip("/").partition("/")[0]
    if is_own(value) or "{" in first:
        raise ValueError(f"{value!r} could be ComfyUI's own or vramgate's; name your pack's route")
    return value


class PackRoute(Model):
    """One route of a studio's own node pack."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    """HTTP method; HEAD comes with GET."""
    path: Annotated[str, Field(pattern=r"^/[^?#\s]+$"), AfterValidator(_pack_path)]
    """Path as the pack registers it. `{name}` is one segment, `{name:regex}` one that must match, `{tail:*}` all that follows."""
    access: Access = Access.ADMIN
    """`read`: the same for everybody, changes nothing. `own_file`: names a file of the caller's by `filename`, `subfolder`, `type`. `own_prompt`: acts on the caller's running prompt. `admin`: admins, on the worker they name. `ignored`: answered 200, not passed on. A GET of a pack may do anything: read its code first (docs/packs.md)."""
