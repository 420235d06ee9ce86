"""Signs what webhooks are told, as Standard Webhooks (https://www.standardwebhooks.com) do.

Whoever is told can check it with any library for these: three headers name the message, the time
of this try, and HMAC-SHA256 over ``<id>.<time>.<body>``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

_PREFIX: Final = "whsec_"


def headers(secret: str, message_id: str, at_s: int, body: bytes) -> Mapping[str, str]:
    """The three headers; ``at_s``: seconds since the epoch, so that old messages can be refused."""
    text = f"{message_id}.{at_s}.".encode() + body
    digest = hmac.digest(key_of(secret), text, hashlib.sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def key_of(secret: str) -> bytes:
    """``whsec_<base64>`` as bytes; any other text as it is."""
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            return secret.encode()
    return secret.encode()
