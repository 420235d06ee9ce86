"""Where the probe takes hold of ComfyUI: each hook alone, each optional."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from .watch import Watch

#: marks a wrapped function, so that a second copy of the pack keeps its hands off
MARK = "vramgate_probe"

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


class Hooks:
    """The hooks that this version of ComfyUI has.

    Attributes:
        present: hooks that are in place.
        missing: hooks that this version does not have; what they would tell is not told.
    """

    def __init__(self) -> None:
        self.present: list[str] = []
        self.missing: list[str] = []

    def wrap(self, label: str, owner: Any, name: str, make: Wrap) -> bool:
        """Replace ``owner.name`` by ``make`` of it; whether there was such a thing."""
        original = getattr(owner, name, None)
        if not callable(original):
            self.missing.append(label)
            return False
        wrapped = make(original)
        setattr(wrapped, MARK, True)
        setattr(owner, name, wrapped)
        self.present.append(label)
        return True


def hold_execution(hooks: Hooks, execution: Any, watch: Watch) -> None:
    """Follow nodes and prompts."""
    hooks.wrap("execution.execute", execution, "execute", lambda original: _node(original, watch))
    executor = getattr(execution, "PromptExecutor", None)
    # execute() calls execute_async() where there is one: only the inner one is wrapped
    name = "execute_async" if hasattr(executor, "execute_async") else "execute"
    hooks.wrap("PromptExecutor." + name, executor, name, lambda original: _prompt(original, watch))


def _node(original: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    begin, end = watch.begin_node, watch.end_node

    async def finish(run: Any, args: tuple[Any, ...], waiting: Any) -> Any:
        try:
            result = await waiting
        except BaseException as error:
            end(run, args, None, error)
            raise
        end(run, args, result, None)
        return result

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def execute(*args: Any, **kwargs: Any) -> Any:
            run = begin(args)
            try:
                result = await original(*args, **kwargs)
            except BaseException as error:
                end(run, args, None, error)
                raise
            end(run, args, result, None)
            return result

        return execute

    @functools.wraps(original)
    def execute_now(*args: Any, **kwargs: Any) -> Any:
        run = begin(args)
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            end(run, args, None, error)
            raise
        if inspect.isawaitable(result):  # another pack's plain function around a coroutine
            return finish(run, args, result)
        end(run, args, result, None)
        return result

    return execute_now


def _prompt(original: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        prompt = args[2] if len(args) > 2 else kwargs.get("prompt_id")
        return watch.begin_prompt(str(prompt))

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def execute(*args: Any, **kwargs: Any) -> Any:
            run = begin(args, kwargs)
            try:
                result = await original(*args, **kwargs)
            except BaseException as error:
                watch.end_prompt(run, args[0], error)
                raise
            watch.end_prompt(run, args[0], None)
            return result

        return execute

    @functools.wraps(original)
    def execute_now(*args: Any, **kwargs: Any) -> Any:
        run = begin(args, kwargs)
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            watch.end_prompt(run, args[0], error)
            raise
        watch.end_prompt(run, args[0], None)
        return result

    return execute_now
