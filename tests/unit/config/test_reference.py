"""What is written about the settings is true."""

from __future__ import annotations

from pathlib import Path

from config.loading import load
from config.reference import reference
from config.schema import settings

ROOT = Path(__file__).parents[3]


def test_the_page_of_settings_is_what_the_models_say() -> None:
    page = ROOT / "docs" / "config.md"
    assert page.read_text() == reference(), "run: ./run config reference > docs/config.md"


def test_every_setting_has_words_about_it() -> None:
    assert [one.path for one in settings() if one.model is None and not one.info.description] == []


def test_the_example_is_valid() -> None:
    loaded = load(ROOT / "config" / "example.yaml", environ={})
    assert [user.name for user in loaded.settings.users] == ["anna", "ben", "render-bot"]
