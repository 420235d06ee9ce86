"""Nodes of a class that fail, by the kind of error."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from typing import Final

from dashboard.advice import words
from dashboard.advice.chance import at_least, share_interval
from dashboard.advice.evidence import users_of, witnesses
from dashboard.advice.finding import (
    About,
    Chart,
    Dots,
    Effect,
    Figure,
    Finding,
    Gain,
    Proof,
    Tested,
    What,
)  # fmt: skip
from dashboard.advice.scene import HOUR_MS, Scene
from store.facts import NodeFact

_LEAST: Final = 3
#: So many runs of any node may fail: somebody tries something.
_USUAL: Final = 0.02
#: What ComfyUI raises when somebody cancels.
_CANCELLED: Final = ("InterruptProcessingException", "CancelledError")
_MEMORY: Final = ("OutOfMemoryError", "DeviceOutOfMemory", "OOM_EXCEPTION")


class Failing:
    """Exact binomial test: more than 2 % of a class's runs fail. A graph's repeats count once."""

    kind = "failing"

    def find(self, scene: Scene) -> list[Tested]:
        """One test for each class that failed at all."""
        runs = {row.class_type: row.runs for row in scene.facts.classes}
        failed: dict[str, list[NodeFact]] = defaultdict(list)
        for node in scene.facts.nodes:
            if node.failed and node.error not in _CANCELLED:
                failed[node.class_type].append(node)
        tests = []
        for class_type, nodes in sorted(failed.items()):
            graphs = {scene.jobs[node.job].digest or node.job for node in nodes}
            if len(graphs) < _LEAST:
                continue
            of = max(runs.get(class_type, 0), len(nodes))
            p_value = at_least(len(graphs), of, _USUAL)
            build = partial(_finding, scene, class_type, nodes, of, p_value)
            tests.append(Tested(p_value, build))
        return tests


def _finding(
    scene: Scene, class_type: str, nodes: list[NodeFact], of: int, p_value: float
) -> Finding:
    errors = Counter(node.error or "(not told)" for node in nodes)
    error = errors.most_common(1)[0][0]
    flows = Counter(scene.jobs[node.job].fingerprint for node in nodes)
    low, high = share_interval(len(nodes), of)
    jobs = {node.job: scene.jobs[node.job] for node in nodes}
    people = users_of(nodes)
    first = min(node.started_ms for node in nodes)
    hours = max(1, round((scene.facts.until_ms - first) / HOUR_MS))
    return Finding(
        kind=Failing.kind,
        subject=class_type,
        title=f"{class_type} failed in {words.share(len(nodes) / of)} of its runs",
        cause=f"{len(nodes)} of {words.count(of, 'run')} ended with an error, most of them "
        f"{error}, in {words.count(len(flows), 'workflow')} of {words.count(len(people), 'user')}; "
        f"first seen {words.count(hours, 'hour')} ago.",
        remedies=_remedies(class_type, error),
        gain=Gain(What.GPU_TIME, *scene.a_day(job.run_seconds for job in jobs.values())),
        effect=Effect(len(nodes) / of, low, high, "share"),
        proof=Proof(
            f"Exact binomial test: more than {words.share(_USUAL)} of the runs of a class fail "
            "(a graph that fails again counts once)",
            p_value,
            len(nodes),
            of,
        ),
        figures=(
            Figure("first seen, hours ago", hours),
            *(Figure(f"ended with {name}", number) for name, number in errors.most_common(4)),
        ),
        charts=(Chart("failures by workflow", "", (
            Dots("failures", tuple(float(number) for number in flows.values())[:60]),
        )),),
        jobs=witnesses(scene, ((node.job, node.error or "failed") for node in nodes)),
        about=About(fingerprints=tuple(sorted(flows)), classes=(class_type,)),
        users=people,
    )  # fmt: skip


def _remedies(class_type: str, error: str) -> tuple[str, ...]:
    if error.rpartition(".")[2] in _MEMORY:
        return (
            f"{class_type} runs out of memory: fewer pictures at once, a lower resolution, or a "
            "GPU with more memory. The estimate has been raised since.",
        )
    return (
        f"Open one of these jobs and look at what {class_type} was given; its error's text is in "
        "the job's own history.",
        "Where it fails with every workflow: its node pack does not match this ComfyUI; update it, "
        "or take it out (`nodes.deny`).",
    )
