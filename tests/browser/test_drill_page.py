# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""report.html in a real browser: nothing overflows, nothing is loaded, everybody can read it."""

from __future__ import annotations

import functools
import typing as t

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from ansible_collections.meshops.locality.plugins.module_utils._charts.vega_svg import vega_svg
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_report import drill_report
from tests.browser.conftest import READERS, Reader
from tests.unit.plugins.module_utils._report.drill_documents import FAILED, LARGE, SMALL, drill, refused

Open = t.Callable[[str, str, Reader], Page]
DOCUMENTS = {
    "small": lambda: drill(SMALL),
    "failed": lambda: drill(FAILED),
    "large": lambda: drill(LARGE),
    "refused": refused,
}


@functools.cache
def page_text(name: str) -> str:
    text, notes = drill_report(DOCUMENTS[name](), vega_svg)
    assert notes == []
    return text


def overflowing(page: Page) -> list[str]:
    """Return the elements that stand out of the page to the right, but those in boxes that scroll."""
    elements: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('body *')]
             .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1
               && !one.closest('.scroll, pre, .vh, defs'))
             .map((one) => one.outerHTML.slice(0, 120))"""
    )
    return elements


def grave(page: Page) -> list[str]:
    """Return what axe-core finds on the page (WCAG 2.2 AA and below) that is serious or critical."""
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    axe = Axe().run(page, options={"runOnly": {"type": "tag", "values": tags}}).response
    assert axe["passes"], "axe-core looked at nothing"
    return [
        f"{violation['id']}: {violation['nodes'][0]['html'][:200]} {violation['nodes'][0]['failureSummary'][:300]}"
        for violation in axe["violations"]
        if violation["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
@pytest.mark.parametrize("name", ["small", "large"])
def test_everybody_can_read_it(opened: Open, name: str, reader: Reader) -> None:
    page = opened(name, page_text(name), reader)
    assert page.title() == "Drill succeeded: tianjin is lost"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert overflowing(page) == []
    assert page.locator("svg >> visible=true").count() > 3
    if reader.script and reader.media == "screen" and (name == "small" or reader.name == "phone-dark"):
        assert grave(page) == []


@pytest.mark.parametrize("name", ["failed", "refused"])
def test_what_went_wrong_can_be_read(opened: Open, name: str) -> None:
    page = opened(name, page_text(name), READERS[2])
    assert overflowing(page) == []
    assert grave(page) == []
    assert page.locator(".verdict .word").inner_text() == name.capitalize()


def test_a_failure_is_in_front_of_the_answers(opened: Open) -> None:
    page = opened("failed", page_text("failed"), READERS[0])
    top = page.evaluate(
        """() => {
             const plot = document.querySelector('.chart.wide svg').getBoundingClientRect();
             document.querySelector('.chart.wide').scrollIntoView();
             const box = document.querySelector('.chart.wide svg').getBoundingClientRect();
             const chart = document.querySelector('.chart.wide').dataset;
             const x = box.left + box.width * (Number(chart.left) + Number(chart.plot) * 20 / 69) / Number(chart.size);
             return document.elementFromPoint(x, box.bottom - box.height * 0.22).getAttribute('fill');
           }"""
    )
    assert top == "var(--failed)"


def test_a_second_is_shown_by_pointer_and_by_keys(opened: Open) -> None:
    page = opened("failed", page_text("failed"), READERS[0])
    page.locator(".chart.wide").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#readout").inner_text().startswith("+1 s: ")
    page.keyboard.press("ArrowLeft")
    before = page.locator("#readout").inner_text()
    assert before.startswith("+0 s: ")
    assert "0 failed" not in before
    box = page.locator(".chart.wide svg").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2)
    assert page.locator("#readout").inner_text().endswith("0 failed, tianjin 20")


def test_a_reader_without_scripts_has_the_numbers(opened: Open) -> None:
    page = opened("failed", page_text("failed"), READERS[4])
    assert "320 of 1,380" in page.locator(".tiles").inner_text()
    page.locator("summary", has_text="Requests per second as a table").click()
    assert page.locator("tbody th", has_text="+1.0 s").first.is_visible()
