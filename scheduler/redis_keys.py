"""Every Redis key there is, in one place.

All keys of a pool share the hash tag ``{<pool>}``: they lie in one slot of a
Redis Cluster, so that one script may touch them together. Scripts are given every key
by name; only ``snapshot.lua``, which reads thousands and writes none, makes names itself.

================  ======  =========================================================
key               type    holds
================  ======  =========================================================
leader            hash    owner, epoch (only grows), until (ms), said (explanations so far), trust,
                          protocol
job:<id>          hash    one job: what changes as fields, the rest in ``spec``
prompt:<id>       string  the prompt's body as submitted
result:<id>       string  the result as settled
outputs:<id>      set     fields of ``files:<user>`` that the job named
user:<user>       hash    number (counter), group, last_admitted_ms; virtual, charged;
                          seen (changes of the first jobs so far);
                          changed (names the last change of any of the jobs)
group:<group>     hash    virtual, charged; clock: counter of the last user with a turn
clock             string  counter of the last group with a turn
turns:<group>     zset    the group's users with a job in ``queue``, by virtual
turns             zset    groups with such users, by virtual
users             set     users with unfinished jobs
everyone          set     users who ever submitted
queue:<user>      zset    QUEUED jobs by place (``number``; negative: to the front)
held:<user>       zset    QUEUED jobs that their user holds, by place
active:<user>     zset    RESERVED, RUNNING, CANCELLING jobs by time of admission
names:<user>      hash    ``p:<prompt_id>`` and ``k:<idempotency key>`` → job
done:<user>       zset    ended jobs that the user's history shows, by settle event
hidden:<user>     zset    ended jobs that it does not show
inflight          zset    active jobs of the pool by lease deadline
agents, workers   set     ids
gpus              set     ids
agent:<id>        hash    url, version, heartbeat_ms, host memory, boot, former, protocol
fleet:<agent>     hash    rev, ``w:<worker>`` → GPU, ``g:<gpu>``
worker:<id>       hash    what its agent reports, its job, failures, failed_ms, failed_job
gpu:<id>          hash    what its agent reports; rival, rival_ms: another that claims it
holds:<gpu>       hash    ``u:<worker>`` bytes used, ``r:<worker>`` bytes reserved
inbox:<agent>     list    orders, oldest first: kind, worker, job, attempt, user ('' mostly)
gateways          hash    id → ``<until ms> <url>``
files:<user>      hash    user's name of an output → where it lies
origins:<user>    hash    where an output lies → user's name
counters:<user>   hash    file name pattern → highest number given;
                          ``!`` + pattern → highest number whose record was trimmed
profile:<fp>      string  what was learned of a fingerprint; expires
fingerprints      set     fingerprints with a profile; some may have expired
week              string  demand by hour of the week
catalogue:<name>  string  what a worker offers, by digest; expires
overrides         hash    dotted path → JSON text
override_meta     hash    rev, call
secrets           hash    name → secret
layout            string  number of this layout (``redis_layout``); none: 1
note:<name>       string  what gateways tell one another; expires
events            stream  one entry per transition
records           stream  what probes told, until the recorder has stored it
================  ======  =========================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: consumer group of the streams
RECORDER_GROUP: Final = "recorder"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job is held: what its transitions' keys depend on. Empty while it is queued."""

    user: str
    worker: str = ""
    gpu: str = ""
    agent: str = ""
    #: the job's own; all unfinished jobs of a user have the same
    group: str = ""


class Keys:
    """Key names of one pool."""

    def __init__(self, pool: str) -> None:
        #: what every key of the pool begins with
        self.prefix = f"vg:{{{pool}}}:"
        self.leader = self("leader")
        self.users = self("users")
        self.everyone = self("everyone")
        self.inflight = self("inflight")
        self.agents = self("agents")
        self.workers = self("workers")
        self.gpus = self("gpus")
        self.gateways = self("gateways")
        self.overrides = self("overrides")
        self.override_meta = self("override_meta")
        self.secrets = self("secrets")
        self.layout = self("layout")
        self.turns = self("turns")
        self.clock = self("clock")
        self.fingerprints = self("fingerprints")
        self.week = self("week")
        self.events = self("events")
        self.records = self("records")

    def __call__(self, kind: str, *of: str) -> str:
        """The key ``kind``, or ``kind:<of>``."""
        return self.prefix + ":".join((kind, *of))

    def of_files(self, user: str) -> list[str]:
        """Where a user's outputs are kept."""
        return [self(kind, user) for kind in ("files", "origins", "counters")]

    def of_job(self, job_id: str, place: Place) -> list[str]:
        """KEYS[1..18] of every job transition; ``job_keys`` in ``_lib.lua`` unpacks them."""
        return [
            self("job", job_id),
            self("result", job_id),
            self("queue", place.user),
            self("active", place.user),
            self.users,
            self("done", place.user),
            self("hidden", place.user),
            self.inflight,
            self.events,
            self("worker", place.worker),
            self("holds", place.gpu),
            self("inbox", place.agent),
            self("held", place.user),
            self("user", place.user),
            self("group", place.group),
            self("turns", place.group),
            self.turns,
            self.clock,
        ]
