"""Differences between tables: applied to the older one they give the newer one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dashboard.tables import Delta, Tables, delta, merged

_rows = st.dictionaries(
    st.sampled_from("abcd"), st.fixed_dictionaries({"n": st.integers(0, 3), "m": st.booleans()})
)
_tables = st.fixed_dictionaries({"jobs": _rows, "gpus": _rows})


def applied(old: Tables, change: Delta) -> dict[str, Any]:
    """As a page does it: first what is gone, then what is put."""
    put, gone = change
    new = {name: dict(table) for name, table in old.items()}
    for name, ids in gone.items():
        for id_ in ids:
            new[name].pop(id_, None)
    for name, rows in put.items():
        for id_, fields in rows.items():
            new[name][id_] = {**new[name].get(id_, {}), **fields}
    return new


@given(_tables, _tables)
def test_a_difference_turns_the_old_tables_into_the_new_ones(old: Any, new: Any) -> None:
    assert applied(old, delta(old, new)) == new


@given(st.lists(_tables, min_size=1, max_size=5))
def test_several_differences_as_one_do_the_same(states: list[Any]) -> None:
    changes = [delta(old, new) for old, new in pairwise(states)]
    assert applied(states[0], merged(changes)) == states[-1]


def test_of_a_row_that_is_known_only_what_has_changed_is_told() -> None:
    old = {"gpus": {"a": {"free": 1, "name": "x"}, "b": {"free": 2, "name": "y"}}}
    new = {"gpus": {"a": {"free": 5, "name": "x"}, "b": {"free": 2, "name": "y"}}}
    assert delta(old, new) == ({"gpus": {"a": {"free": 5}}}, {})
