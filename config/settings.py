"""The settings, as pydantic models; ``docs/config.md`` is generated from them.

Every model forbids unknown keys, so that a typing error is an error. Sizes may
be written ``24GiB`` or in bytes, durations ``10s``/``5m`` or in seconds.
Fields marked ``live`` in their metadata change without a restart.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from config.alerts import Alerts
from config.cluster import Cluster as Cluster
from config.cluster import Log as Log
from config.files import Files
from config.history import History
from config.maintenance import Maintenance
from config.metrics import Metrics, Sinks
from config.nodes import Nodes
from config.packs import PackName, PackRoute
from config.probe import Probe
from config.roles import Role as Role
from config.values import Bytes, Model, Name, Network, Seconds


class AuthMode(StrEnum):
    """Who may come in."""

    KEYS = "keys"
    OPEN = "open"


class User(Model):
    """One person or program with a key of its own."""

    name: Name
    """Shown in pages and logs; part of file paths on workers."""
    group: Name = "default"
    """The team the user's share is taken from."""
    role: Role = Role.ARTIST
    """`artist` submits, `admin` sees and changes all, `viewer` only looks."""
    key: str | None = Field(None, min_length=8, repr=False)
    """API key in plain text; better keep `key_hash`."""
    key_hash: str | None = None
    """`blake2b:<hex>` of the key, as `vramgate users hash` prints it."""
    url_key: str | None = Field(None, min_length=8, repr=False)
    """Key of the personal URL `/k/<key>/`, in plain text."""
    url_key_hash: str | None = None
    """`blake2b:<hex>` of the personal URL's key."""
    port: int | None = Field(None, ge=1, le=65535)
    """A port of the user's own on `gateway.host`: whatever reaches it is this user, without a key (docs/security.md)."""
    networks: tuple[Network, ...] = ()
    """Networks (`10.1.2.3`, `10.1.2.0/24`) whose machines are this user, without a key (docs/security.md)."""
    max_running: int | None = Field(None, ge=1)
    """Most jobs running at once; unset: the group's or no limit."""
    max_queued: int | None = Field(None, ge=1)
    """Most unfinished jobs; a further prompt is refused."""
    weight: float = Field(1.0, gt=0)
    """Share of the group's GPU time, relative to the group's other users."""
    vram_share: float | None = Field(None, gt=0, le=1)
    """Most of the pool's device memory that the user's running jobs may hold."""
    budget: float | None = Field(None, ge=0)
    """GPU hours that the user may use in a calendar month (docs/history.md); then nothing more of the user's starts until the next."""
    budget_soft: float | None = Field(None, ge=0)
    """GPU hours of a month after which everybody else goes first."""
    workers: tuple[str, ...] = ()
    """Patterns (`studio1-*`) of the workers, agents or GPU names that the user's jobs may use; empty: all."""
    max_bytes: Bytes | None = None
    """Most device memory one job of the user may need; more is refused at once."""
    upload_quota: Bytes | None = None
    """Most bytes of uploads the user may keep; unset: the group's, else `files.upload_quota`."""
    output_quota: Bytes | None = None
    """Most bytes of outputs the user may keep; unset: the group's, else `files.output_quota`."""


class Group(Model):
    """A team of users with a share of its own."""

    name: Name
    """As named in `users[].group`."""
    weight: float = Field(1.0, gt=0)
    """Share of the pool's GPU time, relative to the other groups'."""
    max_running: int | None = Field(None, ge=1)
    """Most jobs of the group running at once."""
    max_queued: int | None = Field(None, ge=1)
    """Most unfinished jobs for each user of the group that sets none itself."""
    vram_share: float | None = Field(None, gt=0, le=1)
    """Most of the pool's device memory that the group's running jobs may hold."""
    budget: float | None = Field(None, ge=0)
    """GPU hours that the group's users together may use in a calendar month; then nothing more of theirs starts until the next."""
    budget_soft: float | None = Field(None, ge=0)
    """GPU hours of a month after which everybody else goes first."""
    workers: tuple[str, ...] = ()
    """Patterns (`studio1-*`) of the workers, agents or GPU names that the group's jobs may use; empty: all."""
    upload_quota: Bytes | None = None
    """Most bytes of uploads for each user of the group that sets none itself; unset: `files.upload_quota`."""
    output_quota: Bytes | None = None
    """Most bytes of outputs for each user of the group that sets none itself; unset: `files.output_quota`."""
    share_outputs: bool = False
    """`true`: users of the group see one another's outputs, as `@NAME/…` (docs/files.md)."""
    share_queue: bool = False
    """`true`: users of the group see one another's jobs in queue, history and job lists (docs/clients.md)."""


class Auth(Model):
    """How clients say who they are."""

    mode: AuthMode = AuthMode.OPEN
    """`keys`: every request needs a user's key. `open`: one user `local`, loopback only."""
    cookie_days: float = Field(30.0, gt=0)
    """How long a browser stays logged in."""
    proxy_header: str | None = Field(None, pattern=r"^[A-Za-z0-9-]+$")
    """Header in which a trusted proxy names the user it has logged in, for example `X-Forwarded-User`."""
    proxy_create: bool = False
    """`true`: a user whom the proxy names and nobody has added comes in as an artist; else 403."""


class Frontend(StrEnum):
    """Where the browser UI comes from; ``auto``: from a worker that has one, else the package."""

    AUTO = "auto"
    WORKER = "worker"
    PACKAGE = "package"


class Gateway(Model):
    """The edge that clients talk to."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(8288, ge=0, le=65535)
    """Port to listen on; 0: any free one."""
    processes: int = Field(1, ge=1, le=64)
    """Processes that `vramgate up` serves the port with; any of them answers any request."""
    frontend: Frontend = Frontend.AUTO
    """`worker`: the workers' own UI. `package`: the installed comfyui-frontend-package. `auto`: a READY worker's own UI if one has it (it answers `/` with a page), else the package; without that worker the package at once."""
    frontend_root: Path | None = None
    """Folder of an unpacked ComfyUI frontend (with `index.html`), as ComfyUI's `--front-end-root`: it is shown instead of the package and, with `frontend: auto`, instead of the workers' own UI."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names clients may use besides the listening address and loopback (guards against DNS rebinding); empty with `auth.mode: keys`: any."""
    trusted_proxies: tuple[Network, ...] = ()
    """Networks of reverse proxies that set (never pass on) `X-Forwarded-For`, `-Proto` and `-Host`; nobody else is believed."""
    max_body: Bytes = 100 * 2**20
    """Largest prompt or upload, as ComfyUI's `--max-upload-size` (100 MiB)."""
    advertise: str | None = None
    """Base URL at which agents on other hosts reach this gateway, and of personal URLs; unset: made from host and port."""
    packs: tuple[PackName, ...] = ()
    """Node packs whose reviewed routes clients may use (docs/packs.md); none: only their static `/extensions/…`."""
    routes: tuple[PackRoute, ...] = ()
    """Routes of a studio's own node packs. A GET of a pack may do anything: read its code first (docs/packs.md)."""


class Redis(Model):
    """The server that holds queue and ledger."""

    url: str | None = None
    """`redis://`, `rediss://` or `unix://` URL; `redis+cluster://host:port` (any node of a Cluster); `redis+sentinel://host:port,host:port/master-name` (the sentinels of a replicated server); unset: `vramgate up` starts an embedded server."""
    pool: Name = "default"
    """Workers that are scheduled together; one pool is one Redis hash slot."""


class Jobs(Model):
    """Off-path work (roll-ups, retention, webhooks) on RQ."""

    redis_url: str | None = None
    """A plain Redis for RQ where `redis.url` is a Cluster or named by sentinels; unset: `redis.url`."""


class Store(Model):
    """The database of history, settings and files."""

    url: str | None = None
    """`sqlite:///…` or `postgresql://…`; unset: SQLite in the data folder."""
    keep_jobs: int = Field(200, ge=1)
    """Ended jobs per user that stay in Redis for quick `/history`; the store keeps the rest."""
    keep_for: Seconds = 86400.0
    """How long they stay there at most."""


class RhythmMode(StrEnum):
    """What is made of demand by hour of the week."""

    OFF = "off"
    ADVISE = "advise"
    ON = "on"


def _on_or_off(value: Any) -> Any:
    """YAML reads ``on`` and ``off`` as truth values."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def _zone(name: str) -> str:
    """The name of a time zone. Raises ValueError on others."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone; write for example Europe/Berlin") from error
    return name


class Scheduler(Model):
    """Admission and order."""

    window: int = Field(32, ge=1, le=1024)
    """Queued jobs of each user that one plan looks at."""
    heads: int = Field(32, ge=1, le=4096)
    """Waiting users that one plan looks at, those next in turn."""
    max_skips: int = Field(64, ge=0)
    """So often at most do later jobs start before one that could not; then a place is kept for it."""
    aging: Seconds = 1200.0
    """A job that has waited for this long goes before all turns."""
    strict_order: bool = False
    """`true`: a user's own jobs start in the order sent, even if a later one would find its model loaded."""
    explore: int = Field(2, ge=0)
    """So many batch prompts of one kind a day may run with less memory than there is, in quiet hours, to learn what that costs; 0: none."""
    cold_loads: int = Field(1, ge=1)
    """Jobs that may load models onto one GPU at the same time."""
    max_running: int | None = Field(None, ge=1)
    """Most jobs of the whole pool running at once."""
    max_queued: int | None = Field(None, ge=1)
    """Most unfinished jobs of all users together; a further prompt is refused."""
    preemption: bool = False
    """`true`: an interactive job that waits may interrupt a batch job that has only begun; what that had done is lost."""
    quarantine_failures: int = Field(3, ge=1)
    """A worker that lost or hung this many jobs in a row takes none for a while."""
    quarantine: Seconds = 60.0
    """How long at first; doubled with each further failure. Then it gets one job to show that it works."""
    lease: Seconds = 15.0
    """How long an agent may be silent about a running job before it is queued again."""
    heartbeat: Seconds = 10.0
    """How long an agent may be silent before its workers get no new jobs."""
    max_losses: int = Field(3, ge=1)
    """A job whose worker was lost this often ends FAILED(poison)."""
    leader: Seconds = 5.0
    """How long another scheduler waits before it takes over from a silent leader."""
    no_progress: Seconds = 600.0
    """A running prompt that shows no sign of life for this long is stopped."""
    no_progress_batch: Seconds | None = None
    """The same for prompts of the batch lane; unset: `no_progress`."""
    rhythm: Annotated[RhythmMode, BeforeValidator(_on_or_off)] = RhythmMode.OFF
    """Demand by hour of the week, learned from history. `on`: models of the coming hour stay loaded, and prompts of the batch lane wait before and during peaks of interactive work. `advise`: nothing changes, peaks are logged; `vramgate rhythm show` tells what `on` would gain."""
    rhythm_lead: Seconds = 600.0
    """So long before a peak do batch prompts begin to wait."""
    rhythm_hold: Seconds = 14400.0
    """A batch prompt that was sent this long ago waits for no peak, but for the first minutes of one (`aging`); while a peak lasts it starts where no interactive prompt does."""
    rhythm_share: float = Field(0.5, gt=0, le=1)
    """An hour is a peak if interactive work is expected to keep more than this share of the workers busy."""
    rhythm_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    """Time zone of the hours, for example `Europe/Berlin`."""


class Admission(Model):
    """Device memory that jobs may be promised."""

    safety_share: float = Field(0.03, ge=0, lt=1)
    """Share of a GPU's memory (less foreign use) that is never promised."""
    safety_min: Bytes = 512 * 2**20
    """Least memory of a GPU that is never promised."""
    foreign_window: Seconds = 0.4
    """Other processes' memory counts at its highest within this time: upwards at once, downwards after it."""
    max_job_bytes: Bytes | None = None
    """Most device memory any one job may need; more is refused at once."""


class WorkerUrl(Model):
    """An existing ComfyUI."""

    url: str
    """Base URL, for example `http://127.0.0.1:8188`."""
    gpu: int | None = Field(None, ge=0)
    """Index of the NVIDIA device it computes on; unset: found out, or memory from its own figures."""
    probe_token: str | None = Field(None, min_length=16, repr=False)
    """Token of the probe installed there, as in its `VRAMGATE_PROBE` (docs/probe.md); unset: it has none."""


class GpuSet(Model):
    """What is different on some GPUs."""

    match: str
    """Pattern of GPUs by index (`0`), UUID (`MIG-*`) or name (`*4090*`), or of workers (`studio1-3`)."""
    workers: int | None = Field(None, ge=0, le=16)
    """Processes on each of these GPUs; unset: `workers_per_gpu`. Not for patterns of workers."""
    args: tuple[str, ...] = ()
    """Arguments for `main.py` behind those of all."""


class Comfyui(Model):
    """ComfyUI processes that the agent starts itself."""

    path: Path | None = None
    """Checkout that holds `main.py`."""
    python: Path | None = None
    """Its interpreter; unset: `venv` or `.venv` in the checkout, else the one running vramgate."""
    workers_per_gpu: int = Field(1, ge=1, le=16)
    """Processes on each GPU."""
    args: tuple[str, ...] = ()
    """Further arguments for `main.py`."""
    sets: tuple[GpuSet, ...] = ()
    """Other numbers of processes and further arguments on some GPUs; of several that match, all arguments and the last number."""
    mps: bool = False
    """`true`: workers of a GPU compute through CUDA MPS, which the agent starts and stops (docs/workers.md says when it pays)."""
    mps_limit: Bytes | None = None
    """With `mps`: the most device memory that MPS lets each worker have; unset: no limit of its own."""
    stagger: Seconds = 30.0
    """Workers start one after the other, one for each four cores of the machine at a time: the next when one has answered, or after this time."""
    log_size: Bytes = 10 * 2**20
    """A worker's log that is larger is put aside."""
    log_files: int = Field(3, ge=0, le=100)
    """So many logs put aside are kept of each worker."""
    max_host: Bytes | None = None
    """An idle worker whose processes hold more main memory than this for half a minute is started anew; unset: never. Models that it keeps loaded count."""
    max_residue: Bytes | None = None
    """An idle worker that holds more device memory than this after a release is started anew; unset: never."""


class Agent(Model):
    """One per GPU host."""

    id: Name | None = None
    """Name of this agent; unset: the host's name."""
    host: str = "127.0.0.1"
    """Address its endpoint listens on (gateways reach it there)."""
    port: int = Field(0, ge=0, le=65535)
    """Port of its endpoint; 0: any free one."""
    advertise: str | None = None
    """Base URL at which gateways reach it; unset: made from host and port."""
    tls_cert: Path | None = None
    """Certificate (PEM, with its chain) that its endpoint shows; unset: it is not encrypted."""
    tls_key: Path | None = None
    """Key of `tls_cert` (PEM); unset: it is in the same file."""
    workers: tuple[WorkerUrl, ...] = ()
    """Existing ComfyUIs to drive."""
    comfyui: Comfyui = Comfyui()
    """ComfyUIs to start."""
    simulate: str | None = None
    """Simulated GPUs and workers, for example `gpus=2,vram=24GiB,workers=2,speed=10`."""
    sample: Seconds = 0.1
    """Time between two readings of device memory while it moves, models load, or no probe tells
    what a job takes."""
    sample_rest: Seconds = 1.0
    """The same at rest; at most 0.25 s while jobs run."""


class Settings(Model):
    """The whole file."""

    auth: Auth = Auth()
    users: tuple[User, ...] = ()
    groups: tuple[Group, ...] = ()
    gateway: Gateway = Gateway()
    nodes: Nodes = Nodes()
    redis: Redis = Redis()
    jobs: Jobs = Jobs()
    store: Store = Store()
    files: Files = Files()
    scheduler: Scheduler = Scheduler()
    admission: Admission = Admission()
    agent: Agent = Agent()
    probe: Probe = Probe()
    history: History = History()
    metrics: Metrics = Metrics()
    sinks: Sinks = Sinks()
    maintenance: Maintenance = Maintenance()
    alerts: Alerts = Alerts()
    cluster: Cluster = Cluster()
    log: Log = Log()
    data_dir: Path | None = None
    """Folder for queue, database and files; unset: `~/.local/share/vramgate`."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Settings:
        for kind, names in (
            ("users", [user.name for user in self.users]),
            ("groups", [group.name for group in self.groups]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{kind}: named more than once: {', '.join(twice)}")
        return self

    def user(self, name: str) -> User | None:
        """The user of that name, or None."""
        return next((user for user in self.users if user.name == name), None)

    def group(self, name: str) -> Group:
        """The group of that name; one without limits where the file names none."""
        return next((group for group in self.groups if group.name == name), Group(name=name))
