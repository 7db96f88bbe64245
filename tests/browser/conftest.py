# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A headless Chromium, and pages opened in it as a person would have them."""

from __future__ import annotations

import dataclasses
import shutil
import typing as t
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import WORK

PICTURES = WORK / "test" / "pictures"


@dataclasses.dataclass(frozen=True)
class Reader:
    """How somebody looks at a page. `width` in CSS pixels."""

    name: str
    width: int
    scheme: t.Literal["light", "dark"] = "light"
    script: bool = True
    media: t.Literal["screen", "print"] = "screen"


READERS = (
    Reader("desk", 1280),
    Reader("desk-dark", 1280, "dark"),
    Reader("phone", 360),
    Reader("phone-dark", 360, "dark"),
    Reader("no-script", 1280, script=False),
    Reader("paper", 700, media="print"),
)


@pytest.fixture(scope="session")
def browser() -> t.Iterator[Browser]:
    """Chromium of the system: `python3 tools/chromium.py` installs it."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("There is no chromium: run `python3 tools/chromium.py` as root.")
    with sync_playwright() as started:
        running = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> t.Iterator[t.Callable[[str, str, Reader], Page]]:
    """Open a page's text as one reader has it; saves a picture; fails on messages of the console and on any network."""
    contexts = []
    said: list[str] = []

    def open_page(name: str, text: str, reader: Reader) -> Page:
        file = tmp_path / f"{name}.html"
        file.write_text(text, encoding="utf-8")
        context = browser.new_context(
            viewport={"width": reader.width, "height": 800},
            color_scheme=reader.scheme,
            java_script_enabled=reader.script,
            reduced_motion="reduce",
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(f"{reader.name}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"{reader.name}: {error}"))
        page.on("request", lambda asked: said.append(asked.url) if asked.url != file.as_uri() else None)
        page.emulate_media(media=reader.media)
        page.goto(file.as_uri())
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"{name}-{reader.name}.png")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
