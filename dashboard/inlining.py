"""Makes one file of a built page: scripts and styles inside, and a policy that allows just these.

Such a page opens from a disk, where browsers load no modules from beside it, and may fetch nothing.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Final

_SCRIPT: Final = re.compile(r'<script type="module" crossorigin src="\./([^"]+)"></script>\n?')
_STYLE: Final = re.compile(r'<link rel="stylesheet" crossorigin href="\./([^"]+)">\n?')
_POLICY: Final = "<!--policy-->"
#: What would end a script before its end, or keep it from ending; within JavaScript's texts and
#: patterns, where alone it can stand, the escaped one is the same.
_END: Final = re.compile(r"<(/script|!--)", re.IGNORECASE)


class NotOneFile(Exception):
    """The page cannot be one file; the message says why."""


def inline(page: Path) -> str:
    """The page with what it loads from beside it inside.

    Raises:
        NotOneFile: it loads something in a way that is not known here.
    """
    html = page.read_text(encoding="utf-8")
    if html.count(_POLICY) != 1 or "src=" not in html:
        raise NotOneFile(f"{page.name} has no place for a policy, or no script")
    scripts = [_script(page.parent / name) for name in _SCRIPT.findall(html)]
    styles = [(page.parent / name).read_text(encoding="utf-8") for name in _STYLE.findall(html)]
    # functions: a backslash in what is put in means nothing
    html = _SCRIPT.sub(lambda _: "", html)
    html = _STYLE.sub(lambda _: "", html)
    if re.search(r"(?:src|href)=\"\.", html):
        raise NotOneFile(f"{page.name} still loads something from beside it")
    parts = [f"<style>{style}</style>" for style in styles]
    parts += [f'<script type="module">{script}</script>' for script in scripts]
    html = html.replace("</head>", "\n".join([*parts, "</head>"]))
    return html.replace(_POLICY, _policy(scripts, styles))


def _script(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if re.search(r"^\s*(?:import|export)\b|\bimport\(", text, re.MULTILINE):
        raise NotOneFile(f"{path.name} loads other scripts; a page of one file needs one script")
    return _END.sub(r"\\x3c\1", text)


def _policy(scripts: list[str], styles: list[str]) -> str:
    script, style = (" ".join(_hash(text) for text in texts) for texts in (scripts, styles))
    rules = (
        f"default-src 'none'; script-src {script}; style-src {style}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return f'<meta http-equiv="Content-Security-Policy" content="{rules}">'


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
