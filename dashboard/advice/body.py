"""Findings as the store keeps them, and as one person may read them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from dashboard.advice import words
from dashboard.advice.finding import Finding
from store.advice import FoundAdvice


def found_of(finding: Finding) -> FoundAdvice:
    """A finding as a row."""
    body = asdict(finding)
    body["gain_in"] = str(finding.gain.what)
    del body["gain"], body["kind"]
    return FoundAdvice(
        id=finding.id,
        kind=finding.kind,
        gain=finding.gain.expected,
        gain_low=finding.gain.low,
        gain_high=finding.gain.high,
        users=finding.users,
        body=body,
    )


def seen_by(body: Mapping[str, Any], user: str | None) -> dict[str, Any]:
    """The body for a user; None: an admin, who sees all of it.

    To others, other people's jobs are a count, and other people's names and models nothing at
    all. A subject is for telling advice apart, and may name somebody.
    """
    shown = {name: value for name, value in body.items() if name not in ("subject", "models_of")}
    if user is None:
        return {**shown, "others": 0}
    mine = [witness for witness in body["jobs"] if witness["user"] == user]
    others = [name for name in body["users"] if name != user]
    about = body["about"]
    if others and len(about["fingerprints"]) > 1:
        about = {**about, "fingerprints": []}  # some of them are others'
    seen = {**shown, "jobs": mine, "users": [user], "others": len(others), "about": about}
    known = body.get("models_of") or {}
    return _without_models(seen, {*about["models"]} - {*known.get(user, ())}) if known else seen


def _without_models(seen: dict[str, Any], others: Collection[str]) -> dict[str, Any]:
    """A model's file name may say what somebody works on."""
    names = sorted({words.model(name) for name in others}, key=len, reverse=True)

    def plain(text: str) -> str:
        for name in names:
            text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", "another model", text)
        return text

    models = [model for model in seen["about"]["models"] if model not in others]
    return {
        **seen,
        **{name: plain(seen[name]) for name in ("title", "cause")},
        "remedies": [plain(remedy) for remedy in seen["remedies"]],
        "figures": [{**one, "name": plain(one["name"])} for one in seen["figures"]],
        "about": {**seen["about"], "models": models},
    }


def concerns(body: Mapping[str, Any], job: str, user: str, fingerprint: str) -> bool:
    """Whether advice is about this job: it shows it, or is one of its user's with that workflow."""
    if any(witness["job"] == job for witness in body["jobs"]):
        return True
    return user in body["users"] and fingerprint in body["about"]["fingerprints"]
