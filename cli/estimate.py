"""``vramgate estimate``: what a workflow would need, where it fits, when it would start."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli.errors import CliError, UsageError
from cli.options import ConfigOption, DataDirOption, read_ground
from cli.runstate import read_state

_PATH: Final = "/api/v1/estimate"
_TIMEOUT_S: Final = 30.0
_KEY: Final = "VRAMGATE_KEY"
_FITS: Final = {
    "now": "fits now",
    "when_free": "fits when jobs there have ended",
    "when_others_leave": "fits when other processes have left it",
    "alone": "larger than any GPU: gets a whole one to itself, when one is free",
    "never": "does not fit",
    "not_allowed": "you may not use it",
    "silent": "does not report",
}

Json = dict[str, Any]


def estimate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Workflow in API format (JSON).")],
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The gateway; by default the one on this data folder."),
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help=f"Your key; by default {_KEY}'s value.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Tell what a workflow would need, where it fits and when it would start; queue nothing.

    Without a running instance the figures come from the graph alone.

    [bold]Example[/bold]: vramgate estimate workflow_api.json
    """
    from dashboard.estimate import graph_of

    try:
        graph = graph_of(file.read_bytes())
    except OSError as error:
        raise CliError(f"cannot read {file}: {error.strerror}") from error
    if isinstance(graph, str):
        raise CliError(f"{file}: {graph}")
    if url is None:
        state = read_state(read_ground(config, data_dir).data_dir)
        url = None if state is None else state.gateway
    found = _alone(graph) if url is None else _ask(url, key or os.environ.get(_KEY, ""), graph)
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        print("\n".join(lines(found)))


def _ask(url: str, key: str, graph: Json) -> Json:
    """The running instance's answer."""
    # urllib takes a moment to import, and other commands need none of it
    import urllib.error
    import urllib.request

    if not url.startswith(("http://", "https://")):
        raise UsageError(f"--url {url} does not begin with http:// or https://")
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    where = url.rstrip("/") + "/dashboard" + _PATH
    body = json.dumps(graph).encode()
    request = urllib.request.Request(where, data=body, headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            return _decode(answer.read(), url)
    except urllib.error.HTTPError as error:
        raise CliError(_refusal(error.code, error.read(), url)) from error
    except OSError as error:
        raise CliError(f"{url} does not answer ({error}): check --url, or start it") from error


def _decode(body: bytes, url: str) -> Json:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict) or "bytes" not in found:
        raise CliError(f"{url} is no vramgate, or one of another version")
    return found


def _refusal(status: int, body: bytes, url: str) -> str:
    """One sentence, and what is wrong with which node."""
    if status in (401, 403):
        return f"{url} does not know you: give your key with --key or in {_KEY}"
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get("error"), str):
        return f"{url} answered {status}: is it a vramgate?"
    wrong = [
        f"  node {node} ({found.get('class_type')}): {one.get('message')}: {one.get('details')}"
        for node, found in answer.get("node_errors", {}).items()
        for one in found.get("errors", [])
    ]
    return "\n".join([answer["error"], *wrong])


def _alone(graph: Json) -> Json:
    """What the graph says without any instance."""
    from dashboard.estimate import Trial, needs
    from scheduler.estimate import estimate as estimate_of
    from scheduler.states import Lane, NewJob
    from scheduler.workflow.features import features

    try:
        kind = features(graph["prompt"])
    except RecursionError as error:
        raise CliError(
            "the graph cannot be followed: its nodes refer to one another in a circle"
        ) from error
    found = estimate_of(kind)
    job = NewJob(
        id="",
        user="",
        group="",
        prompt_id="",
        client_id=None,
        lane=Lane.INTERACTIVE,
        front=False,
        fingerprint=kind.fingerprint,
        models=kind.models,
        need_bytes=found.bytes,
        need_seconds=found.seconds,
        needs_gpu=kind.needs_gpu,
        model_bytes=kind.model_bytes,
        load_seconds=found.load_seconds,
        late_seconds=found.late_seconds,
        curve=found.curve,
        host_bytes=found.host_bytes,
    )
    trial = Trial(job=job, floor_bytes=found.floor_bytes, cold=True, runs=0, refused="")
    return {**needs(trial), "places": None, "start": None}


# ── for people ───────────────────────────────────────────────────────────────


def lines(found: Json) -> Iterator[str]:
    """An estimate in words."""
    if found["places"] is None:
        yield "no instance runs here: from the graph alone, with usual sizes of models"
    yield from _need_lines(found)
    for model in found["models"]:
        size = _gib(model["bytes"]) if model["bytes"] else "size not known"
        yield f"model    {model['name']} ({size})"
    if found.get("refused"):
        yield f"refused  {found['refused']}"
    for place in found["places"] or ():
        name = place["name"] if place["index"] is None else f"{place['name']} {place['index']}"
        yield f"where    {name} of {place['agent']}: {_FITS.get(place['fits'], place['fits'])}"
    if found["places"] is not None and not found.get("refused"):
        yield f"start    {_start(found['start'])}"


def _need_lines(found: Json) -> Iterator[str]:
    seconds, bytes_ = found["seconds"], found["bytes"]
    if found["needs_gpu"]:
        least = f", at least {_gib(bytes_['floor'])}" if bytes_["floor"] < bytes_["need"] else ""
        yield f"memory   {_gib(bytes_['need'])}{least}"
    else:
        yield "memory   needs no GPU"
    load = f", and {seconds['load']:.1f} s to load its models" if seconds["load"] else ""
    yield f"time     {seconds['run']:.1f} s, hardly ever over {seconds['late']:.1f} s{load}"
    runs = found["runs"]
    known = (
        "never run before: from formulas and what its like took"
        if found["cold"]
        else f"learned from {runs} runs"
    )
    yield f"known    {known}"


def _start(start: Json | None) -> str:
    if start is None:
        return "nobody can say"
    where = f"on {start['worker']}"
    if start["p90_seconds"] < 1:
        return f"at once, {where}"
    p50, p90 = _time(start["p50_seconds"]), _time(start["p90_seconds"])
    return f"in about {p50}, by {p90} in 9 of 10 cases, {where}"


def _time(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 120 else f"{whole // 60} min {whole % 60:02d} s"


def _gib(bytes_: int) -> str:
    return f"{bytes_ / 2**30:.1f} GiB"
