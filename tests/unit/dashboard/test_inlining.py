"""A built page becomes one file with a policy that allows just what is in it."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest

from dashboard.inlining import NotOneFile, inline

PAGE = """<!doctype html><html><head>
<!--policy-->
<script type="module" crossorigin src="./assets/a.js"></script>
<link rel="stylesheet" crossorigin href="./assets/a.css">
</head><body></body></html>
"""
SCRIPT = r'const a = "</script><!--\1";'


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "a.js").write_text(SCRIPT)
    (tmp_path / "assets" / "a.css").write_text("a { color: red }")
    path = tmp_path / "report.html"
    path.write_text(PAGE)
    return path


def test_scripts_and_styles_are_inside_and_nothing_else_is_allowed(page: Path) -> None:
    html = inline(page)
    assert "assets/" not in html
    script = re.search(r'<script type="module">(.*?)</script>', html, re.DOTALL)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert script is not None
    assert style is not None
    for found in (script, style):
        digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
        assert f"'sha256-{digest}'" in html
    assert "default-src 'none'" in html
    assert "unsafe" not in html


def test_a_script_cannot_end_or_outlive_its_element(page: Path) -> None:
    html = inline(page)
    assert r'const a = "\x3c/script>\x3c!--\1";' in html
    assert html.count("</script>") == 1


@pytest.mark.parametrize("script", ['import "./b.js";', 'a(import("./b.js"))', "x\nexport {a};"])
def test_a_script_that_loads_others_is_refused(page: Path, script: str) -> None:
    (page.parent / "assets" / "a.js").write_text(script)
    with pytest.raises(NotOneFile, match="one script"):
        inline(page)


@pytest.mark.parametrize("text", ["<p>", PAGE.replace("crossorigin ", "")])
def test_a_page_that_is_not_understood_is_refused(page: Path, text: str) -> None:
    page.write_text(text)
    with pytest.raises(NotOneFile):
        inline(page)
