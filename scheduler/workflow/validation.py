"""Judges a prompt against ``/object_info`` as ComfyUI 0.3.64 would, without a worker.

A worker validates only what it is handed, but a client expects its 400 in the
answer to ``POST /prompt``. So the rules are kept here too, word for word.

Deliberate differences, each towards an answer a person can act on:

* inputs are judged in declared order (ComfyUI's order changes with each start);
* a cycle gets ``dependency_cycle``, as newer servers say it;
* a file input that is missing or linked gets the plain reason, where ComfyUI's
  own check of the file trips over it;
* choices of schema-based combos are checked, as newer servers do;
* what would stop a worker for good, a link of an undeclared input to a node that is not
  there or a node without inputs, is refused or left out;
* an answer lists at most ``DEPENDENTS_MAX`` dependent outputs per node.

What only a node's code knows (its own ``VALIDATE_INPUTS``) is not in
``/object_info``; known for core nodes that load files, else not judged. What a worker
was asked about (``gateway.second_look``) is ``trusted``.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from scheduler.workflow import reasons
from scheduler.workflow.node_class import InputSpec, NodeClass, node_class_of, types_match
from scheduler.workflow.reach import find_faults
from scheduler.workflow.reasons import Reason
from scheduler.workflow.values import FileExists, check_value

#: Dependent outputs listed per refused node; bounds the answer to a hostile prompt.
DEPENDENTS_MAX: Final = 100
#: Nodes of a dependency cycle that an answer names; the rest is counted.
CYCLE_NAMED_MAX: Final = 8

#: What reading a malformed node record can raise; ComfyUI reports these, so do we.
_MALFORMED: Final = (KeyError, IndexError, TypeError, ValueError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class Validation:
    """Whether a prompt may be queued, and all that a client is told about it.

    ``ok`` with ``node_errors`` means: some outputs are dropped, ``outputs`` run.
    """

    ok: bool
    #: the ``error`` object of a 400; None where ok
    error: dict[str, Any] | None
    node_errors: dict[str, dict[str, Any]]
    #: output nodes that will run, in the prompt's order
    outputs: tuple[str, ...]
    #: copy of the prompt with values converted (``"5"`` → 5); nested values are shared
    prompt: dict[str, Any]


def validate(
    prompt: Mapping[str, Any],
    object_info: Mapping[str, Any],
    *,
    exists: FileExists | None = None,
    targets: Sequence[str] | None = None,
    trusted: Collection[str] = (),
) -> Validation:
    """Validates a prompt in time linear in its size, without recursion.

    Args:
        prompt: the graph, node id → ``{"class_type", "inputs"}``; not changed.
        object_info: the workers' ``/object_info``.
        exists: whether an input file is there, by kind (input, output, temp) and
            name; None: upload combos are checked against their list instead.
        targets: the client's ``partial_execution_targets``; None: all outputs.
        trusted: ids of nodes whose values and links' types are good whatever the rules say,
            as a worker knows.
    """
    copy = {node_id: _copy_node(node) for node_id, node in prompt.items()}
    classes: dict[str, NodeClass] = {}
    wanted: list[str] = []
    chosen = None if targets is None else set(targets)
    for node_id, node in copy.items():
        refused = _read_class(node_id, node, object_info, classes)
        if refused is not None:
            return Validation(False, refused, {}, (), copy)
        if classes[node["class_type"]].is_output and (chosen is None or node_id in chosen):
            wanted.append(node_id)
    if not wanted:
        return Validation(False, reasons.no_outputs(), {}, (), copy)
    checked = _Walk(copy, classes, exists, trusted).judge(wanted)
    return _walkable(checked) if checked.ok else checked


def _walkable(checked: Validation) -> Validation:
    """Without what a worker cannot walk through (``scheduler.workflow.reach``).

    Outputs that lead there are dropped, and so are nodes that nothing leads to.
    """
    prompt = {
        node: one for node, one in checked.prompt.items() if isinstance(one.get("inputs"), dict)
    }
    faults = find_faults(checked.prompt, checked.outputs)
    if not faults.reasons:
        return replace(checked, prompt=prompt)
    failed = [node_id for node_id in checked.outputs if node_id in faults.tainted]
    good = tuple(node_id for node_id in checked.outputs if node_id not in faults.tainted)
    node_errors = {
        node_id: {
            "errors": found,
            "dependent_outputs": failed[:DEPENDENTS_MAX],
            "class_type": checked.prompt[node_id]["class_type"],
        }
        for node_id, found in faults.reasons.items()
    }
    of_outputs = [one for node_id in failed for one in faults.reasons.get(node_id, ())]
    error = None if good else reasons.outputs_failed(of_outputs)
    return Validation(bool(good), error, checked.node_errors | node_errors, good, prompt)


def _copy_node(node: Any) -> Any:
    if not isinstance(node, Mapping):
        return node
    inputs = node.get("inputs")
    if inputs == []:
        # an empty object as PHP and Lua write it; ComfyUI finds no input in either
        inputs = {}
    return {**node, "inputs": dict(inputs)} if isinstance(inputs, Mapping) else dict(node)


def _read_class(
    node_id: str, node: Any, object_info: Mapping[str, Any], classes: dict[str, NodeClass]
) -> Reason | None:
    if not isinstance(node, dict) or "class_type" not in node:
        return reasons.missing_class_type(node_id)
    name = node["class_type"]
    if not isinstance(name, str) or name not in object_info:
        return reasons.unknown_class(node_id, name)
    if name not in classes:
        classes[name] = node_class_of(object_info, name)
    return None


@dataclass(slots=True)
class _Verdict:
    """What was found at one node. ``broken``: its consumer has to say so."""

    valid: bool
    reasons: list[Reason]
    broken: Exception | None = None


#: Yields the node ids it needs verdicts of, returns its own.
_Check: TypeAlias = Generator[str, _Verdict, _Verdict]


@dataclass(frozen=True, slots=True)
class _Cycle:
    """A cycle, as seen from the walk's current path."""

    #: position on the path of its first node
    start: int
    length: int
    #: (id, class) of its first nodes
    named: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Step:
    """One node on the walk's path, its check under way."""

    node_id: str
    check: _Check
    #: the widest cycle found so far that passes through it
    cycle: _Cycle | None = None


@dataclass(slots=True)
class _Walk:
    """Walks upstream from the outputs, each node once, with a stack of its own."""

    prompt: dict[str, Any]
    classes: dict[str, NodeClass]
    exists: FileExists | None
    trusted: Collection[str] = ()
    verdicts: dict[str, _Verdict] = field(default_factory=dict)
    #: keys of ``verdicts`` in order of completion, which is the order of the answer
    done: list[str] = field(default_factory=list)

    def judge(self, outputs: Iterable[str]) -> Validation:
        """Checks each output and all it needs, and puts the answer together."""
        good: list[str] = []
        failed: list[str] = []
        of_outputs: list[Reason] = []
        #: refused node → index in ``failed`` of the output that first met it
        met_at: dict[str, int] = {}
        for node_id in outputs:
            first = len(self.done)
            verdict = self._verdict(node_id)
            if verdict.valid:
                good.append(node_id)
                continue
            of_outputs += verdict.reasons
            for node in self.done[first:]:
                if self.verdicts[node].reasons:
                    met_at[node] = len(failed)
            failed.append(node_id)
        error = None if good else reasons.outputs_failed(of_outputs)
        node_errors = self._node_errors(met_at, failed)
        return Validation(bool(good), error, node_errors, tuple(good), self.prompt)

    def _node_errors(
        self, met_at: Mapping[str, int], failed: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        """ComfyUI lists under each refused node every output that failed since it was met."""
        return {
            node_id: {
                "errors": self.verdicts[node_id].reasons,
                "dependent_outputs": list(failed[first : first + DEPENDENTS_MAX]),
                "class_type": self._class_of(node_id),
            }
            for node_id, first in met_at.items()
        }

    def _verdict(self, root: str) -> _Verdict:
        """The verdict on an output; checks all that it needs and nobody checked yet."""
        if root not in self.verdicts:
            verdict = self._run(root)
            if verdict.broken is not None and not verdict.reasons:
                verdict.reasons.append(reasons.broken_node(verdict.broken))
        return self.verdicts[root]

    def _run(self, root: str) -> _Verdict:
        path = [_Step(root, self._check(root))]
        position = {root: 0}
        answer: _Verdict | None = None
        while path:
            step = path[-1]
            try:
                needed = next(step.check) if answer is None else step.check.send(answer)
            except StopIteration as done:
                answer = self._leave(path, done.value)
            except _MALFORMED as error:
                answer = self._leave(path, _Verdict(False, [], error))
            else:
                answer = self.verdicts.get(needed)
                if answer is None and needed in position:
                    answer = self._close_cycle(path, position[needed])
                elif answer is None:
                    position[needed] = len(path)
                    path.append(_Step(needed, self._check(needed)))
        return self.verdicts[root]

    def _close_cycle(self, path: Sequence[_Step], start: int) -> _Verdict:
        """Notes at the path's last node that it leads back to the one at ``start``."""
        members = path[start : start + CYCLE_NAMED_MAX]
        named = tuple((step.node_id, self._class_of(step.node_id)) for step in members)
        _widen(path[-1], _Cycle(start, len(path) - start, named))
        return _Verdict(False, [])

    def _leave(self, path: list[_Step], verdict: _Verdict) -> _Verdict:
        """Keeps the verdict on the path's last node and goes back to its consumer."""
        step = path.pop()
        if step.cycle is not None:
            found = step.cycle
            verdict.reasons.append(reasons.cycle(step.node_id, found.named, found.length))
            if path and found.start < len(path):
                _widen(path[-1], found)
        self.verdicts[step.node_id] = verdict
        self.done.append(step.node_id)
        return verdict

    def _class_of(self, node_id: str) -> str:
        name: str = self.prompt[node_id]["class_type"]
        return name

    def _check(self, node_id: str) -> _Check:
        """Checks one node, asking for verdicts on the nodes it is linked to."""
        class_type = self._class_of(node_id)
        inputs = self.prompt[node_id]["inputs"]
        if not isinstance(inputs, dict):
            raise TypeError(f"inputs must be an object, not {type(inputs).__name__}")
        found: list[Reason] = []
        valid, trusted = True, node_id in self.trusted
        for spec in self.classes[class_type].inputs:
            if spec.dynamic:
                valid = (yield from self._check_parts(spec, inputs)) and valid
            elif spec.name not in inputs:
                if spec.required:
                    found.append(reasons.input_missing(spec))
            elif isinstance(inputs[spec.name], list):
                reason, sound = yield from self._check_link(spec, inputs[spec.name], trusted)
                valid = valid and sound
                found += [] if reason is None else [reason]
            else:
                value, of_pack = inputs[spec.name], self.classes[class_type].of_pack
                kept, reason = check_value(class_type, spec, value, self.exists, of_pack=of_pack)
                inputs[spec.name] = kept
                found += [] if reason is None or trusted else [reason]
        return _Verdict(valid and not found, found)

    def _check_link(
        self, spec: InputSpec, link: list[Any], trusted: bool
    ) -> Generator[str, _Verdict, tuple[Reason | None, bool]]:
        """The reason against this link, and whether what it links to is sound.

        ``trusted``: whatever the link carries is good.
        """
        if len(link) != 2:
            return reasons.bad_link(spec, link), True
        source, slot = link
        received = self.classes[self._class_of(source)].returns[slot]
        if not trusted and not types_match(received, spec.type):
            return reasons.type_mismatch(spec, received, link), True
        verdict = yield source
        if verdict.broken is not None and not verdict.reasons:
            verdict.reasons.append(reasons.broken_source(spec, link, verdict.broken))
        return None, verdict.valid

    def _check_parts(
        self, spec: InputSpec, inputs: Mapping[str, Any]
    ) -> Generator[str, _Verdict, bool]:
        """Follows the links of a dynamic input; its types are the worker's to judge."""
        valid = True
        for name, value in inputs.items():
            if name.startswith(f"{spec.name}.") and isinstance(value, list):
                part = InputSpec(name, "*", {}, required=False)
                _, sound = yield from self._check_link(part, value, trusted=False)
                valid = valid and sound
        return valid


def _widen(step: _Step, found: _Cycle) -> None:
    if step.cycle is None or found.start < step.cycle.start:
        step.cycle = found
