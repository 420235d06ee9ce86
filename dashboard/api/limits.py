"""``/api/v1/limits``: caps, weights and budgets that admins change while all runs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import hdrs, web

from config.edits import (
    GROUP_FIELDS,
    POOL_PATHS,
    USER_FIELDS,
    BadEdit,
    Edit,
    checked,
    default_of,
    edit_of,
    group_names,
    value_of,
    with_edits,
)
from config.settings import Settings
from dashboard.api import limits_shapes as shapes
from dashboard.api.asking import Refused, Who, admin, answer, page, refusing
from dashboard.api.cursor import cursor, next_of
from dashboard.api.limit_fields import fields
from dashboard.api.posted import posted
from dashboard.operations import Operations
from scheduler.ledger import Ledger
from store.audit import Deed, DeedFilter, SqlAudit

#: action and subject of entries in the audit log
ACTION: Final = "limit"
SUBJECT: Final = "limit:"
_REVISION: Final = re.compile(r'(?:W/)?"?(\d{1,15})"?')
NO_SUCH: Final = "There is no such setting that can be changed here; GET /api/v1/limits lists them."
LATE: Final = "Somebody changed something meanwhile: look at it, then try again."


class Limits:
    """For admins alone. Every change is written down before it is made."""

    def __init__(
        self,
        ledger: Ledger,
        operations: Operations,
        audit: SqlAudit,
        who: Who,
    ) -> None:
        self._ledger = ledger
        self._operations = operations
        self._audit = audit
        self._who = who

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        one = "/api/v1/limits/values/{path}"
        return [
            web.get("/api/v1/limits", refusing(self.all)),
            web.get("/api/v1/limits/changes", refusing(self.changes)),
            web.get("/api/v1/limits/export", refusing(self.export)),
            web.put(one, refusing(self.put)),
            web.delete(one, refusing(self.reset)),
        ]

    async def all(self, request: web.Request) -> web.Response:
        """Everything that can be changed, with where each value comes from."""
        admin(self._who, request)
        revision, overrides = await self._ledger.overrides()
        shown = await self._shown(overrides)
        settings = shown.settings
        body: shapes.Limits = {
            "revision": revision,
            "pool": shown.of("", [(path, path) for path in POOL_PATHS]),
            "groups": [
                shown.of(name, [(f"groups.{name}.{field}", field) for field in GROUP_FIELDS])
                for name in group_names(settings)
            ],
            "users": [
                {
                    **shown.of(
                        user.name,
                        [(f"users.{user.name}.{field}", field) for field in USER_FIELDS],
                    ),
                    "group": user.group,
                    "role": user.role.value,
                }
                for user in sorted(settings.users, key=lambda user: user.name)
            ],
            "fields": fields(),
        }
        return answer(request, body)

    async def put(self, request: web.Request) -> web.Response:
        """``{"value": …}`` with ``If-Match: <revision>``."""
        who, sent = admin(self._who, request), await posted(request)
        if "value" not in sent:
            raise Refused(400, "Send `value`; null stands for no limit.")
        seen = _seen(request)
        revision, overrides = await self._ledger.overrides()
        settings = with_edits(self._operations.base(), overrides)
        edit = _edit(request, settings)
        try:
            text = checked(edit, sent["value"], settings)
        except BadEdit as error:
            raise Refused(400, f"{error}.") from error
        if seen != revision:
            return _conflict(request, revision)
        change = {"before": value_of(edit, settings), "after": json.loads(text), "reset": False}
        return await self._change(request, who.user, edit, revision, text, change)

    async def reset(self, request: web.Request) -> web.Response:
        """Take a change back: what the file says is in force again."""
        who, seen = admin(self._who, request), _seen(request)
        revision, overrides = await self._ledger.overrides()
        settings = with_edits(self._operations.base(), overrides)
        edit = _edit(request, settings)
        if seen != revision:
            return _conflict(request, revision)
        change = {"before": value_of(edit, settings), "after": None, "reset": True}
        return await self._change(request, who.user, edit, revision, None, change)

    async def _change(
        self,
        request: web.Request,
        by: str,
        edit: Edit,
        seen: int,
        text: str | None,
        change: Mapping[str, Any],
    ) -> web.Response:
        whose = {"user": edit.name} if edit.scope == "user" else {}
        detail = {**change, **whose, "revision": seen + 1}
        # first: what cannot be written down is not changed
        await self._audit.note(by, ACTION, SUBJECT + edit.path, detail)
        revision = await self._ledger.override_at(seen, {edit.path: text})
        if revision is None:
            await self._audit.note(by, "limit_not_changed", SUBJECT + edit.path, whose)
            now, _ = await self._ledger.overrides()
            return _conflict(request, now)
        _, overrides = await self._ledger.overrides()
        limit = (await self._shown(overrides)).limit(edit.path, edit.field)
        body: shapes.LimitSet = {"revision": revision, "limit": limit}
        return answer(request, body)

    async def changes(self, request: web.Request) -> web.Response:
        """Who changed what and when, newest first; of one setting with ``path=``."""
        admin(self._who, request)
        wanted = DeedFilter(action=ACTION, subject=SUBJECT + request.query.get("path", ""))
        rows = page(request).rows
        found = await self._audit.page(wanted, rows + 1, cursor(request))
        body: shapes.LimitChanges = {
            "changes": [_told(deed) for deed in found[:rows]],
            "next": next_of(found, rows),
        }
        return answer(request, body)

    async def export(self, request: web.Request) -> web.Response:
        """All changes in force, as they would be written into the file (JSON is YAML, too)."""
        admin(self._who, request)
        _, overrides = await self._ledger.overrides()
        settings = with_edits(self._operations.base(), overrides)
        response = answer(request, _as_file(overrides, settings))
        response.headers[hdrs.CONTENT_DISPOSITION] = 'attachment; filename="vramgate-limits.json"'
        return response

    async def _shown(self, overrides: Mapping[str, str]) -> _Shown:
        subjects = [SUBJECT + path for path in overrides]
        latest = await self._audit.latest(ACTION, subjects) if subjects else {}
        return _Shown(self._operations, overrides, latest)


class _Shown:
    """Values at one revision, with where they come from."""

    def __init__(
        self, operations: Operations, overrides: Mapping[str, str], latest: Mapping[str, Deed]
    ) -> None:
        base = operations.base()
        # users that were added have a base, too: their own defaults
        added = {path: text for path, text in overrides.items() if text.startswith("{")}
        self._base = with_edits(base, added)
        self._origin = operations.origin
        self._overrides = overrides
        self._latest = latest
        self.settings = with_edits(base, overrides)

    def of(self, name: str, paths: list[tuple[str, str]]) -> shapes.LimitsOf:
        """All settings of one user, group or the pool."""
        limits = [self.limit(path, field) for path, field in paths]
        return {"name": name, "group": "", "role": "", "limits": limits}

    def limit(self, path: str, field: str) -> shapes.LimitValue:
        """One setting."""
        edit = edit_of(path, self.settings)
        if edit is None:
            raise LookupError(path)
        edited, deed = path in self._overrides, self._latest.get(SUBJECT + path)
        base = value_of(edit, self._base)
        return {
            "path": path,
            "field": field,
            "value": value_of(edit, self.settings),
            "base": base,
            "origin": "edited" if edited else self._of_file(path, base == default_of(edit)),
            "changed": {"by": deed.by_user, "at_ms": deed.at_ms} if edited and deed else None,
        }

    def _of_file(self, path: str, is_default: bool) -> str:
        return self._origin(path) or ("default" if is_default else "file")


def _edit(request: web.Request, settings: Settings) -> Edit:
    found = edit_of(request.match_info["path"], settings)
    if found is None:
        raise Refused(404, NO_SUCH)
    return found


def _seen(request: web.Request) -> int:
    """The revision that whoever changes something has seen."""
    text = request.headers.get(hdrs.IF_MATCH, "")
    found = _REVISION.fullmatch(text.strip())
    if found is None:
        raise Refused(428, "Send `If-Match` with the `revision` of GET /api/v1/limits.")
    return int(found[1])


def _conflict(request: web.Request, revision: int) -> web.Response:
    body: shapes.Conflict = {"error": LATE, "revision": revision}
    return answer(request, body, status=412)


def _told(deed: Deed) -> shapes.LimitChange:
    detail = deed.detail
    return {
        "at_ms": deed.at_ms,
        "by": deed.by_user,
        "path": deed.subject.removeprefix(SUBJECT),
        "before": detail.get("before"),
        "after": detail.get("after"),
        "reset": bool(detail.get("reset")),
        "revision": int(detail.get("revision", 0)),
    }


def _as_file(overrides: Mapping[str, str], settings: Settings) -> dict[str, Any]:
    document: dict[str, Any] = {}
    lists: dict[str, dict[str, dict[str, Any]]] = {"user": {}, "group": {}}
    for path in sorted(overrides):
        edit = edit_of(path, settings)
        if edit is None:
            continue
        value = value_of(edit, settings)
        if edit.scope == "pool":
            document.setdefault(path.partition(".")[0], {})[edit.field] = value
        else:
            one = lists[edit.scope].setdefault(edit.name, {"name": edit.name})
            one[edit.field] = value
    for scope, found in lists.items():
        if found:
            document[f"{scope}s"] = list(found.values())
    return document
