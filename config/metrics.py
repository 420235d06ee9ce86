"""The ``metrics`` and ``sinks`` sections: figures for other programs (docs/metrics.md)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from config.values import Model, Seconds

_Port = Field(None, ge=1, le=65535)


class Metrics(Model):
    """What Prometheus reads at `/metrics` of a gateway; an admin's key lets in, too."""

    token: str | None = Field(None, min_length=16, repr=False)
    """Lets in to `/metrics` and nowhere else; better keep `token_hash` or `token_file`."""
    token_hash: str | None = Field(None, pattern=r"^blake2b:[0-9a-fA-F]{64}$")
    """`blake2b:<hex>` of the token, as `vramgate users hash` prints it."""
    token_file: Path | None = None
    """File with the token."""
    users: bool = False
    """`true`: jobs are also told by user, for users that the config file names or `vramgate users` added."""
    host: str = "127.0.0.1"
    """Address of the ports below; another one than loopback's needs a token."""
    scheduler_port: int | None = _Port
    """The scheduler's own figures (process, memory, version) at `/metrics` of this port; unset: none."""
    agent_port: int | None = _Port
    """The agent's."""
    recorder_port: int | None = _Port
    """The recorder's."""

    @property
    def has_token(self) -> bool:
        """Whether any form of it is set."""
        return any(one is not None for one in (self.token, self.token_hash, self.token_file))


class Influx(Model):
    """An InfluxDB that the recorder writes to, by line protocol."""

    url: str | None = Field(None, pattern=r"^https?://")
    """Its base URL, for example `http://influx:8086`; unset: there is none."""
    database: str | None = None
    """InfluxDB 1: the database, as `vramgate`. Either this or `bucket`."""
    retention: str | None = None
    """InfluxDB 1: its retention policy; unset: the database's default."""
    user: str | None = None
    """InfluxDB 1: who writes; unset: nobody is named."""
    password: str | None = Field(None, repr=False)
    """InfluxDB 1: the user's password; better keep `password_file`."""
    password_file: Path | None = None
    """File with the password."""
    bucket: str | None = None
    """InfluxDB 2 and 3: the bucket; 1.8 and later take `database/retention`."""
    org: str = ""
    """InfluxDB 2: the organisation."""
    token: str | None = Field(None, min_length=1, repr=False)
    """InfluxDB 2: a token that may write; better keep `token_file`."""
    token_file: Path | None = None
    """File with the token."""
    every: Seconds = Field(10.0, ge=1)
    """Time between two points of each GPU and of the queue. Each ended job is a point of its own."""
    batch: int = Field(5000, ge=1, le=50_000)
    """Points of one request at most."""
    buffer: int = Field(200_000, ge=1, le=10_000_000)
    """Points that wait in memory while it does not answer; beyond that the oldest are dropped and counted."""
    users: bool = False
    """`true`: an ended job's point says whose it was."""

    @model_validator(mode="after")
    def _one_kind(self) -> Influx:
        if self.url is not None and (self.database is None) == (self.bucket is None):
            raise ValueError("set either `database` (InfluxDB 1) or `bucket` (2 and 3)")
        return self


class Otel(Model):
    """A collector of OpenTelemetry that gets a trace of each ended job; needs `vramgate[otel]`."""

    endpoint: str | None = Field(None, pattern=r"^https?://")
    """Its base URL for OTLP over HTTP, for example `http://collector:4318`; unset: there is none. Headers as in `OTEL_EXPORTER_OTLP_HEADERS`."""
    service: str = "vramgate"
    """`service.name` of the spans."""
    settle: Seconds = 5.0
    """How long after a job's end its trace is made; by then the probe's records are mostly there."""
    users: bool = False
    """`true`: a trace says whose job it was."""


class Sinks(Model):
    """Where the recorder tells what it writes, besides the store; none of them holds it up."""

    influx: Influx = Influx()
    otel: Otel = Otel()
