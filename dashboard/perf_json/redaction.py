"""What of names and texts may be in a file that is handed on: never a text that somebody wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from dashboard.perf_json.shapes import Tensor, Value

#: What ComfyUI's clients number their nodes with; a client could also write a sentence there.
_NODE: Final = re.compile(r"[0-9A-Za-z:._-]{1,40}\Z")
_INPUT: Final = re.compile(r"[A-Za-z_][0-9A-Za-z_.]{0,63}\Z")
_WORD: Final = re.compile(r"[A-Za-z_][0-9A-Za-z_.:<>-]{0,99}\Z")
_DTYPE: Final = re.compile(r"[a-z0-9_]{1,24}\Z")
#: Subjects whose names are no people's.
_PLAIN: Final = frozenset(
    {"gpu", "worker", "job", "host", "agent", "workflow", "node", "pool", "recorder"}
)
#: Tensors and numbers of one node's inputs or outputs.
_MOST_VALUES: Final = 64


class Names:
    """Made-up names, the same for one file: ``user-1``, ``model-2``; or the true ones.

    Texts of inputs are dropped in any case. So are names of nodes and inputs that are no names.
    """

    def __init__(self, *, true: bool = False, own: str | None = None) -> None:
        """``true``: users, groups and models by their names; ``own``: the one user it is for."""
        self.true = true
        self._own = own
        self._made: dict[tuple[str, str], str] = {}

    def user(self, name: str) -> str:
        """A user's."""
        return self._name("user", name)

    def group(self, name: str) -> str:
        """A group's."""
        return self._name("group", name)

    def model(self, name: str) -> str:
        """A model file's: it may say what somebody works on."""
        return name if self.true else self._name("model", _file(name))

    def node(self, name: str) -> str:
        """A node's id."""
        return name if not name or _NODE.match(name) else self._numbered("node", name)

    def word(self, word: str | None) -> str:
        """What ought to be a word of a program, as the type of an error: a sentence is none."""
        return word if word and _WORD.match(word) else "other" if word else ""

    def subject(self, subject: str) -> str:
        """``gpu:<id>``, ``user:<name>``, …: what an alert is about, or what a job waited for."""
        kind, mark, name = subject.partition(":")
        if kind == "user":
            if self._own is not None and name != self._own:
                return ""  # who is in the way is the others' to know
            return f"user:{self.user(name)}"
        if kind == "group":
            return f"group:{self.group(name)}"
        return subject if kind in _PLAIN else kind if mark and _INPUT.match(kind) else ""

    def text(self, text: str, users: Iterable[str], models: Iterable[str]) -> str:
        """A sentence of ours that may have these names in it."""
        if self.true:
            return text
        made = {name: self.user(name) for name in users if name}
        # sentences have a model without its folder
        made |= {name: self.model(path) for path in models for name in (path, _file(path))}
        for name in sorted(filter(None, made), key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", made[name], text)
        return text

    def values(self, told: Any) -> dict[str, Value]:
        """Numbers and shapes of a node's inputs or outputs."""
        if not isinstance(told, Mapping):
            return {}
        kept: dict[str, Value] = {}
        for name, value in told.items():
            if len(kept) < _MOST_VALUES and isinstance(name, str) and _INPUT.match(name):
                shown = _shown(value)
                if shown is not None:
                    kept[name] = shown
        return kept

    def _name(self, kind: str, name: str) -> str:
        return name if self.true or not name else self._numbered(kind, name)

    def _numbered(self, kind: str, name: str) -> str:
        known = self._made.get((kind, name))
        if known is None:
            number = 1 + sum(1 for one, _ in self._made if one == kind)
            known = self._made[kind, name] = f"{kind}-{number}"
        return known


def _file(path: str) -> str:
    return path.rpartition("/")[2]


def _shown(value: Any) -> Value:
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return _tensor(value)
    if isinstance(value, list):
        tensors = list(_tensors(value))
        return tensors or None
    return None


def _tensors(values: Iterable[Any]) -> Iterable[Tensor]:
    for value in values:
        found = _tensor(value) if isinstance(value, Mapping) else None
        if found is not None:
            yield found


def _tensor(told: Mapping[str, Any]) -> Tensor | None:
    shape, dtype = told.get("shape"), told.get("dtype")
    if not isinstance(shape, list) or len(shape) > 16:
        return None
    if not all(isinstance(one, int) and 0 <= one < 2**53 for one in shape):
        return None
    known = isinstance(dtype, str) and _DTYPE.match(dtype)
    return Tensor(shape=shape, dtype=str(dtype) if known else "")
