"""Building the page: only when its sources changed. The bundler itself runs in the clone tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard.build_ui import UI, BuildError, build, digest, is_fresh


@pytest.fixture
def ui(tmp_path: Path) -> Path:
    folder = tmp_path / "ui"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "main.tsx").write_text("1")
    return folder


def test_a_changed_renamed_or_new_source_is_noticed(ui: Path) -> None:
    seen = {digest(ui)}
    (ui / "src" / "main.tsx").write_text("2")
    seen.add(digest(ui))
    (ui / "src" / "main.tsx").rename(ui / "src" / "other.tsx")
    seen.add(digest(ui))
    (ui / "new.css").write_text("")
    seen.add(digest(ui))
    assert len(seen) == 4


def test_installed_packages_are_no_sources(ui: Path) -> None:
    before = digest(ui)
    (ui / "node_modules" / "x").mkdir(parents=True)
    (ui / "node_modules" / "x" / "index.js").write_text("1")
    assert digest(ui) == before


def test_a_page_of_these_sources_is_not_built_again(ui: Path, tmp_path: Path) -> None:
    static = tmp_path / "static"
    assert not is_fresh(static, digest(ui))
    static.mkdir()
    (static / "index.html").write_text("page")
    (static / "sources.sha256").write_text(digest(ui))
    assert build(ui, static) is False
    assert (static / "index.html").read_text() == "page"
    (ui / "new.css").write_text("")
    assert not is_fresh(static, digest(ui))


def test_missing_sources_are_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="checkout"):
        build(tmp_path / "none", tmp_path / "static")


def test_the_lock_names_versions_and_hashes_but_no_server() -> None:
    lock = (UI / "package-lock.json").read_text()
    assert '"integrity"' in lock
    assert '"resolved"' not in lock
