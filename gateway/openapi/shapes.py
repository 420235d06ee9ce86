"""What ComfyUI's routes take and answer, as far as clients rely on it.

What comes from workers, node packs or a client's own graph stays open: ``Any``.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

FileType = Literal["input", "output", "temp"]


class Message(TypedDict):
    """Why a request got nothing, in the words of newer servers."""

    error: str


class Node(TypedDict):
    """One node of a graph in API format; a link is ``[node id, output]``."""

    class_type: str
    inputs: dict[str, Any]


class Wishes(TypedDict):
    """How the gateway shall treat a prompt."""

    lane: NotRequired[Literal["interactive", "batch"]]
    deadline_s: NotRequired[float]
    accept_late: NotRequired[bool]
    idempotency_key: NotRequired[str]


class ExtraData(TypedDict):
    """What goes along with a graph; other fields are kept."""

    vramgate: NotRequired[Wishes]
    extra_pnginfo: NotRequired[dict[str, Any]]


class Prompt(TypedDict):
    """A graph to run."""

    prompt: dict[str, Node]
    client_id: NotRequired[str]
    prompt_id: NotRequired[str]
    extra_data: NotRequired[ExtraData]
    front: NotRequired[bool]
    number: NotRequired[float]
    partial_execution_targets: NotRequired[list[str] | None]


class Accepted(TypedDict):
    """A prompt that was queued; ``node_errors`` of outputs that will not run."""

    prompt_id: str
    number: int
    node_errors: dict[str, Any]


class ExecInfo(TypedDict):
    """The caller's prompts that have not ended."""

    queue_remaining: int


class QueueInfo(TypedDict):
    """How many prompts are before."""

    exec_info: ExecInfo


class Queue(TypedDict):
    """Items ``[number, prompt_id, prompt, extra_data, outputs]`` of the caller's prompts."""

    queue_running: list[list[Any]]
    queue_pending: list[list[Any]]


class Removal(TypedDict):
    """What to take out of a list: some by prompt_id, or all."""

    clear: NotRequired[bool]
    delete: NotRequired[list[str]]


class Interruption(TypedDict):
    """The prompt to stop; none: all that run."""

    prompt_id: NotRequired[str]


class HistoryEntry(TypedDict):
    """A prompt that has ended; ``prompt`` is its item of the queue."""

    prompt: list[Any]
    outputs: dict[str, Any]
    status: Any
    meta: NotRequired[dict[str, Any]]


class Job(TypedDict):
    """A prompt as newer frontends list it; times in milliseconds since the epoch."""

    id: str
    status: Literal["pending", "in_progress", "completed", "failed", "cancelled"]
    priority: int
    create_time: int
    outputs_count: int
    previewable_outputs_count: int
    execution_start_time: NotRequired[int]
    execution_end_time: NotRequired[int]
    execution_error: NotRequired[Any]
    preview_output: NotRequired[dict[str, Any]]
    workflow_id: NotRequired[str]


class JobDetail(Job):
    """One of them with what was posted and, once it has ended, its outputs."""

    workflow: dict[str, Any]
    outputs: NotRequired[dict[str, Any]]
    execution_status: NotRequired[Any]


class Pagination(TypedDict):
    """Which part of a list this is."""

    offset: int
    limit: int | None
    total: int
    has_more: bool


class Jobs(TypedDict):
    """A page of the caller's prompts."""

    jobs: list[Job]
    pagination: Pagination


class JobIds(TypedDict):
    """Prompts by prompt_id."""

    job_ids: list[str]


class Cancelled(TypedDict):
    """Whether any of them was changed."""

    cancelled: bool


class LogEntry(TypedDict):
    """A line: time and text."""

    t: str
    m: str


class TerminalSize(TypedDict):
    """In characters."""

    cols: int
    rows: int


class RawLogs(TypedDict):
    """The log of the caller's own prompts."""

    entries: list[LogEntry]
    size: TerminalSize


class LogSubscription(TypedDict):
    """Whether sockets of this client id are told of new lines."""

    clientId: str
    enabled: bool


class Device(TypedDict):
    """A GPU, or the processor; bytes."""

    name: str
    type: str
    index: int | None
    vram_total: int
    vram_free: int
    torch_vram_total: int
    torch_vram_free: int


class SystemStats(TypedDict):
    """A worker's versions and the pool's memory."""

    system: dict[str, Any]
    devices: list[Device]


class Freeing(TypedDict):
    """What idle workers shall give back."""

    unload_models: NotRequired[bool]
    free_memory: NotRequired[bool]


class ModelFolder(TypedDict):
    """A kind of models; ``folders`` has as many names as there are places."""

    name: str
    folders: list[str]


class KeptFile(TypedDict):
    """The name that an upload got."""

    name: str
    subfolder: str
    type: FileType


class Users(TypedDict):
    """That nobody is to choose a user."""

    storage: str
    migrated: bool


class NewUser(TypedDict):
    """A wish that is not granted."""

    username: str


class FileInfo(TypedDict):
    """A file of the caller's; bytes, and seconds since the epoch."""

    path: str
    size: int
    modified: Any
    created: NotRequired[Any]


class Entry(TypedDict):
    """A file or folder of the caller's."""

    name: str
    path: str
    type: Literal["file", "directory"]
    size: NotRequired[int]
    modified: NotRequired[Any]


class Status(TypedDict):
    """What became of it."""

    status: str


class Subscriber(TypedDict):
    """A client by its id."""

    client_id: str


class Publication(Subscriber):
    """A graph for the caller's other clients."""

    name: str
    workflow: dict[str, Any]
