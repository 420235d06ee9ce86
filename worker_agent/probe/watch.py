"""What the hooks do at each call: two time stamps, two readings, one note for the writer.

All of it runs in the thread that runs prompts, between ComfyUI's own statements. Nothing here may
raise into them, block, or keep a tensor.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .meter import Meter
from .runs import NodeRun, PromptRun
from .settings import Settings
from .tensors import NOTHING, Outputs, describe, held_bytes
from .troubles import Troubles

#: place of each argument in every version of `execution.execute` since 2024-08
_DYNPROMPT, _CACHES, _NODE, _EXECUTED, _PROMPT, _ASYNC = 1, 2, 3, 5, 6, 9


class Watch:
    """Follows prompts and nodes.

    Attributes:
        settings: those in force; replaced as a whole.
        prompt: the running prompt, or None.
        node: the node whose call runs, or None.
        at_start: called in the prompts' thread before each prompt, even with hooks off.
        at_end: called there after each prompt.
        limit: bytes that the process keeps within, or None.
        look: hands a finished node and its outputs to what takes pictures; None for nobody.
    """

    def __init__(
        self,
        settings: Settings,
        meter: Meter,
        put: Callable[[str, Any, Any], None],
        troubles: Troubles,
    ) -> None:
        """``put`` takes what the writer makes a record of, at once and without blocking."""
        self.settings = settings
        self.meter = meter
        self.troubles = troubles
        self.prompt: PromptRun | None = None
        self.running: str | None = None
        self.node: NodeRun | None = None
        self.at_start: list[Callable[[], None]] = []
        self.at_end: list[Callable[[], None]] = []
        self.limit: Callable[[], int | None] = _no_limit
        self.look: Callable[[NodeRun, Any], None] | None = None
        self._put = put
        self._adopted = False

    def begin_prompt(self, prompt: str) -> PromptRun | None:
        """A prompt starts; None with hooks off."""
        self.running = prompt
        self._call_all("at_start", self.at_start)
        if not self.settings.hooks:
            return None
        try:
            run = PromptRun(prompt, time.time(), time.perf_counter())
            run.before = self.meter.begin_prompt()
            run.limit = self.limit()
            self.prompt, self._adopted = run, False
            return run
        except Exception as error:  # a probe never fails a prompt
            self.troubles.add("prompt start", error)
            return None

    def end_prompt(self, run: PromptRun | None, executor: Any, error: BaseException | None) -> None:
        """A prompt ended; ``error`` is what came out of ComfyUI's own code."""
        self.prompt = self.node = None
        try:
            if run is not None:
                self._close(run, executor, error)
        except Exception as problem:
            self.troubles.add("prompt end", problem)
        finally:
            self.running = None
            self._call_all("at_end", self.at_end)

    def begin_node(self, args: tuple[Any, ...]) -> NodeRun | None:
        """A call of a node starts; None where it is not followed."""
        try:
            settings = self.settings
            if not settings.hooks:
                return None
            prompt = self.prompt
            if prompt is None or (self._adopted and prompt.prompt != args[_PROMPT]):
                prompt = self._adopt(args)
            node = args[_NODE]
            run = prompt.open.get(node)
            if run is None:
                run = prompt.open[node] = NodeRun(node, time.time())
            run.calls += 1
            if prompt.waiting and (len(prompt.waiting) > 1 or node not in prompt.waiting):
                prompt.overlap = True
            self.node = run
            if settings.memory:
                reading = self.meter.begin_node()
                if run.before is None:
                    run.before = reading
            run.began = time.perf_counter()
            return run
        except Exception as error:
            self.troubles.add("node start", error)
            return None

    def end_node(
        self, run: NodeRun | None, args: tuple[Any, ...], result: Any, error: BaseException | None
    ) -> None:
        """A call of a node ended, with ComfyUI's ``result`` or with ``error``."""
        if run is None:
            return
        try:
            ended = time.perf_counter()
            run.seconds += ended - run.began
            self.node = None
            prompt = self.prompt
            if prompt is None:
                return
            if run.before is not None:
                run.after = reading = self.meter.read()
                if reading.peak_allocated > run.peak:
                    run.peak = reading.peak_allocated
            kind = result[0]._name_ if error is None else "FAILURE"
            if kind == "PENDING":
                if len(args) > _ASYNC and run.node in args[_ASYNC]:
                    run.asynchronous = True
                    prompt.waiting.add(run.node)
                return
            prompt.waiting.discard(run.node)
            del prompt.open[run.node]
            run.ended = time.time()
            if run.asynchronous:  # its work ran between its calls
                run.seconds = run.ended - run.started
            prompt.done += 1
            if kind == "FAILURE":
                run.result = "failure"
                run.error = _name(error if error is not None else result[2])
            try:
                self._describe(prompt, run, args)
            except Exception as problem:
                self.troubles.add("outputs", problem)
            self._put("node", prompt, run)
        except Exception as problem:
            self.troubles.add("node end", problem)

    def _describe(self, prompt: PromptRun, run: NodeRun, args: tuple[Any, ...]) -> None:
        dynprompt, caches, node = args[_DYNPROMPT], args[_CACHES], run.node
        posted = dynprompt.get_node(node)
        run.class_type = prompt.classes[node] = posted["class_type"]
        run.inputs = inputs = posted["inputs"]
        display = dynprompt.get_display_node_id(node)
        if display != node:
            run.display = display
        found = prompt.found
        for value in inputs.values():
            if value.__class__ is list and len(value) == 2 and value[0] not in found:
                source = value[0]
                if source.__class__ is str:
                    found[source] = self._outputs(caches, source)[1]
        if run.error is None:
            run.cached = node not in args[_EXECUTED]
            values, found[node] = self._outputs(caches, node)
            if values is None:
                return  # ComfyUI was told to cache nothing
            run.outputs = found[node]
            if self.look is not None and not run.cached:
                self.look(run, values)

    def _outputs(self, caches: Any, node: str) -> tuple[Any, Outputs]:
        values = cached_outputs(caches.outputs, node)
        return values, NOTHING if values is None else describe(values)

    def _adopt(self, args: tuple[Any, ...]) -> PromptRun:
        """A prompt whose start nobody told: no hook for prompts in this version."""
        self._adopted = True
        self.prompt = run = PromptRun(args[_PROMPT], time.time(), time.perf_counter())
        return run

    def _close(self, run: PromptRun, executor: Any, error: BaseException | None) -> None:
        run.seconds = time.perf_counter() - run.began
        run.ended = time.time()
        run.peaks = self.meter.peaks()
        run.after = self.meter.read()
        told = dict(getattr(executor, "status_messages", None) or ())
        run.cached = len(told.get("execution_cached", {}).get("nodes", ()))
        if "execution_interrupted" in told:
            run.result = "interrupted"
        elif error is not None or "execution_error" in told or _failed(executor):
            run.result = "error"
        try:
            run.retained = self._retained(run, executor)
        except Exception as problem:
            self.troubles.add("retained", problem)
        self._put("prompt", run, None)

    def _retained(self, run: PromptRun, executor: Any) -> dict[str, int]:
        """Bytes of outputs that the cache keeps, by class of the node that made them."""
        caches = getattr(executor, "caches", None)
        if caches is None:
            return {}
        held: dict[str, int] = {}
        seen: set[int] = set()
        nodes = dict.fromkeys(run.classes)  # makers first: what a node only hands on is not its own
        nodes.update(dict.fromkeys(caches.outputs.all_node_ids()))
        for node in nodes:
            size = held_bytes(cached_outputs(caches.outputs, node), seen)
            if size:
                name = run.classes.get(node) or _class_of(caches.outputs, node)
                held[name] = held.get(name, 0) + size
        return held

    def _call_all(self, where: str, calls: list[Callable[[], None]]) -> None:
        for call in calls:
            try:
                call()
            except Exception as error:
                self.troubles.add(where, error)


def cached_outputs(cache: Any, node: str) -> Any:
    """The outputs of a node that ComfyUI keeps, as a list of slots; None if it keeps none.

    Newer versions have a look-up that asks only this process (``get_local``); between them and 0.3.64
    lie some whose ``get`` is a coroutine. One that does not answer at once is not waited for.
    """
    getter = getattr(cache, "get_local", None)
    if getter is None:
        getter = cache.get
    entry = getter(node)
    if hasattr(entry, "send"):
        try:
            entry.send(None)
        except StopIteration as end:
            entry = end.value
        else:
            entry.close()
            return None
    return getattr(entry, "outputs", entry)


def _class_of(cache: Any, node: str) -> str:
    try:
        return str(cache.dynprompt.get_node(node)["class_type"])
    except Exception:  # an expanded node of an earlier prompt
        return "?"


def _failed(executor: Any) -> bool:
    return not getattr(executor, "success", True)


def _name(error: Any) -> str:
    return type(error).__qualname__


def _no_limit() -> int | None:
    return None
