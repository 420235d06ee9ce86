"""The ``alerts`` section: which rules there are, and who is told."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from config.values import Model, Name, Seconds, parse_bytes, parse_seconds


class Severity(StrEnum):
    """How much somebody should care, least first."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class RuleKind(StrEnum):
    """What a rule looks at; ``dashboard.alerts.kinds`` has the units."""

    NODE = "node"
    WAIT = "wait"
    HEADROOM = "headroom"
    OOM = "oom"
    ESTIMATE = "estimate"
    WORKER = "worker"
    AGENT = "agent"
    GPU = "gpu"
    BUDGET_SOFT = "budget_soft"
    BUDGET = "budget"
    TEMPERATURE = "temperature"
    LAG = "lag"
    FAILURES = "failures"
    QUEUE = "queue"
    HEADROOM_SOON = "headroom_soon"
    WAIT_SOON = "wait_soon"


def parse_limit(value: object) -> object:
    """``"5s"``, ``"10%"``, ``"2GiB"`` → a number. Raises ValueError on other words."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.endswith("%"):
        try:
            return float(text[:-1]) / 100
        except ValueError:
            text = ""
    for parse in (parse_seconds, parse_bytes):
        try:
            return float(parse(text))
        except ValueError:
            continue
    raise ValueError(f"{value!r} is no limit; write for example 5s, 10m, 10% or 85")


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write an address as https://hooks.example/alerts")
    if parts.username is not None or parts.password is not None:
        raise ValueError("no user and password in it: messages are signed with `secret`")
    if is_link_local(parts.hostname):
        raise ValueError("link-local addresses belong to machines' own services")
    return value


def is_link_local(host: str) -> bool:
    """Whether this is the number of a machine's own services, also as an IPv4 one within IPv6."""
    try:
        address = ip_address(host)
    except ValueError:  # a name: looked up by whoever connects, and asked about then
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_link_local


Limit = Annotated[float, BeforeValidator(parse_limit), Field(ge=0)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Label = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,31}=[^\s\"'\\]{1,64}$")]
Mail = Annotated[str, StringConstraints(pattern=r"^[^\s<>,;:@]{1,64}@[^\s<>,;:@]{1,190}$")]


class AlertRule(Model):
    """Changes the rule of that name (docs/alerts.md lists them), or adds one that has a `kind`."""

    name: Name
    """Of a rule that there is, or of a new one."""
    kind: RuleKind | None = None
    """What a new rule looks at."""
    enabled: bool | None = None
    """`false`: it is not looked at."""
    limit: Limit | None = None
    """When it is true: `5s`, `10m`, `10%`, `85` (degrees), as its kind wants it."""
    clear: Limit | None = None
    """Back at this it is over; between the two nothing changes. Unset: a little before `limit`."""
    factor: float | None = Field(None, gt=0)
    """Of `node`: so many times its usual time, at least. Of `queue`: so many times what it was. Of `failures`: so many failed jobs, at least."""
    lasts: Seconds | None = None
    """It must have been true for so long. Of what happens and is over (a slow node, a failed job): how long that is shown."""
    severity: Severity | None = None
    """How much somebody should care."""
    lane: Literal["interactive", "batch"] | None = None
    """Of `wait`: jobs of this lane only."""
    users: tuple[str, ...] | None = None
    """Patterns of the users whom it is about; empty: all."""
    groups: tuple[str, ...] | None = None
    """Patterns of groups likewise."""
    subjects: tuple[str, ...] | None = None
    """Patterns of what it is about (`gpu:*`, `worker:studio1-*`); empty: all."""
    labels: tuple[Label, ...] | None = Field(None, max_length=8)
    """`name=value`, told with it, for example `team=film`."""


class Receiver(Model):
    """Who is told of alerts."""

    name: Name
    """Shown beside what was told."""
    least: Severity = Severity.WARNING
    """Alerts of less are not told."""
    rules: tuple[str, ...] = ()
    """Patterns of the rules that are told; empty: all."""
    groups: tuple[str, ...] = ()
    """Patterns of the groups whose alerts are told; empty: all, and those of nobody's too."""


class Webhook(Receiver):
    """An address that is told of alerts by POST, signed (docs/alerts.md)."""

    url: WebAddress
    """`https://…`; redirects are not followed."""
    secret: str | None = Field(None, min_length=16, repr=False)
    """What messages are signed with, as `whsec_<base64>` or any text."""
    secret_file: Path | None = None
    """File with the secret, in place of `secret`."""

    @model_validator(mode="after")
    def _is_signed(self) -> Webhook:
        if (self.secret is None) == (self.secret_file is None):
            raise ValueError("give either secret or secret_file: whoever is told checks with it")
        return self


class MailReceiver(Receiver):
    """People who are told of alerts by e-mail."""

    to: tuple[Mail, ...] = Field(min_length=1, max_length=32)
    """Addresses."""


class MailSecurity(StrEnum):
    """How the way to the mail server is kept."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class Smtp(Model):
    """The server that takes e-mails."""

    host: str | None = None
    """Unset: none are sent."""
    port: int = Field(587, ge=1, le=65535)
    """Port; `tls` mostly has 465."""
    security: MailSecurity = MailSecurity.STARTTLS
    """`starttls`: refuses to go on without it. `tls`: from the first byte. `none`: only for a server on this machine."""
    user: str | None = None
    """Who sends; unset: the server asks nobody."""
    password: str | None = Field(None, repr=False)
    """The sender's password."""
    sender: Mail = "vramgate@localhost.localdomain"
    """Address in `From:`."""
    ca: Path | None = None
    """Certificates (PEM) that are trusted besides the system's."""


class GroupBy(StrEnum):
    """What alerts of one message have in common."""

    RULE = "rule"
    SEVERITY = "severity"
    USER = "user"
    GROUP = "group"
    SUBJECT = "subject"


class Alerts(Model):
    """What somebody should know, and who is told. Works without a line of it (docs/alerts.md)."""

    enabled: bool = True
    """`false`: nothing is looked at."""
    every: Seconds = Field(10.0, ge=1, le=60)
    """Time between two looks."""
    rules: tuple[AlertRule, ...] = ()
    """Changes of rules, and new ones."""
    horizon: Seconds = Field(1800.0, ge=60)
    """How far ahead early warnings look."""
    url: WebAddress | None = None
    """Base URL of the dashboard for links in messages, for example `https://comfy.example/dashboard/`; unset: no links."""
    group_by: tuple[GroupBy, ...] = (GroupBy.RULE,)
    """Alerts that have these in common are told in one message."""
    group_wait: Seconds = 20.0
    """The first message of such a group waits so long for more."""
    group_interval: Seconds = 300.0
    """Time between two messages of a group that has changed, at least."""
    repeat: Seconds = 14400.0
    """A group that goes on is told again after this."""
    resolved: bool = True
    """`false`: ends are not told."""
    webhooks: tuple[Webhook, ...] = ()
    """Addresses that are told."""
    mails: tuple[MailReceiver, ...] = ()
    """People who are told."""
    smtp: Smtp = Smtp()


#: Severities by weight, for comparing.
WEIGHT: Final = {severity: weight for weight, severity in enumerate(Severity)}
