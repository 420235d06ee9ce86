"""What a worker's ComfyUI offers, and what of it a prompt names (pure).

A *catalogue* lists a worker's node classes and the choices of their lists: models above all.
A prompt may run where the catalogue has every class that it names and every choice that it
makes. Both are compared as *tokens*, short digests, so that a job carries some hundred bytes
and a plan compares sets. Files of users are no part of it: they are brought along.
"""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import Any, Final

import msgspec

from scheduler.workflow.node_class import InputSpec, node_class_of, read_node_class
from scheduler.workflow.parse import read_graph

#: bytes of a token, and characters as text: among 100,000 choices two are alike once in 56,000
#: pools, and then a prompt goes where it is refused
_BYTES: Final = 6
_WIDTH: Final = 8
#: core inputs that list files of users without a mark in their options
_USER_FILES: Final = {("LoadLatent", "latent")}
#: class → input → choices
Offer = Mapping[str, Mapping[str, tuple[str, ...]]]
_decode_offer = msgspec.json.Decoder(dict[str, dict[str, tuple[str, ...]]]).decode


class Catalogue:
    """One catalogue; workers that offer the same share it."""

    def __init__(self, document: bytes) -> None:
        """Read what ``describe`` made.

        Raises:
            ValueError: it is no such document.
        """
        try:
            text = zlib.decompress(document)
            self._offer: Offer = _decode_offer(text)
        except (zlib.error, msgspec.DecodeError) as error:
            raise ValueError(f"no catalogue: {error}") from error
        self.digest = _digest(text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Catalogue) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @cached_property
    def tokens(self) -> frozenset[str]:
        """Everything that it offers."""
        return frozenset(token for token, _ in self._named())

    def name_of(self, token: str) -> str | None:
        """What a token of it stands for, for people; None: it is none of its own."""
        return next((name for own, name in self._named() if own == token), None)

    def _named(self) -> Iterator[tuple[str, str]]:
        for class_type, inputs in self._offer.items():
            yield _token(class_type), f"node {class_type}"
            for name, choices in inputs.items():
                for choice in choices:
                    yield _token(class_type, name, choice), choice


def describe(object_info: Mapping[str, Any]) -> tuple[str, bytes]:
    """A worker's catalogue as a document, and the digest that names it.

    Args:
        object_info: the worker's ``/object_info``.
    """
    offer: dict[str, dict[str, list[str]]] = {}
    for class_type in sorted(object_info):
        listed = offer[class_type] = {}
        for spec in read_node_class(class_type, object_info[class_type]).inputs:
            if _is_own_list(class_type, spec):
                choices = {one for one in spec.choices or () if isinstance(one, str)}
                listed[spec.name] = sorted(choices)
    text = msgspec.json.encode(offer)
    return _digest(text), zlib.compress(text)


def requires(
    prompt: Mapping[str, Any], object_info: Mapping[str, Any], outputs: Iterable[str]
) -> str:
    """What a prompt needs of a worker's catalogue, packed; "" where nobody told of nodes.

    Args:
        prompt: the validated graph; a worker must know the class of each of its nodes.
        object_info: of all workers. A value that it does not list is none of its choices.
        outputs: nodes to run; of others only the class counts.
    """
    if not object_info:
        return ""
    tokens = {_token(node["class_type"]) for node in prompt.values()}
    for node in read_graph(prompt, object_info, tuple(outputs)).values():
        known = node_class_of(object_info, node.class_type)
        for spec in known.inputs:
            for value in _values(node.inputs.get(spec.name)):
                if _is_own_list(node.class_type, spec) and value in (spec.choices or ()):
                    tokens.add(_token(node.class_type, spec.name, value))
    return "".join(sorted(tokens))


def _digest(text: bytes) -> str:
    return blake2b(text, digest_size=8).hexdigest()


@lru_cache(maxsize=65_536)
def missing(catalogue: Catalogue, packed: str) -> tuple[str, ...]:
    """Tokens of a packed requirement that the catalogue lacks; none: the prompt can run there."""
    return tuple(token for token in _unpack(packed) if token not in catalogue.tokens)


def _unpack(packed: str) -> Iterator[str]:
    return (packed[start : start + _WIDTH] for start in range(0, len(packed), _WIDTH))


@lru_cache(maxsize=65_536)
def _token(*parts: str) -> str:
    digest = blake2b("\0".join(parts).encode(), digest_size=_BYTES).digest()
    return urlsafe_b64encode(digest).decode()


def _values(value: Any) -> Iterator[str]:
    """The texts that an input's value is or, as a multiple choice, holds."""
    if isinstance(value, dict) and "__value__" in value:
        value = value["__value__"]
    for one in value if isinstance(value, list) else (value,):
        if isinstance(one, str):
            yield one


def _is_own_list(class_type: str, spec: InputSpec) -> bool:
    """Whether an input's choices are the worker's own, and not files of users."""
    if spec.choices is None or (class_type, spec.name) in _USER_FILES:
        return False
    return not any(name.endswith("upload") and spec.options[name] for name in spec.options)
