# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""assessment.html in a real browser, with one and with 5,000 Services."""

from __future__ import annotations

import functools
import time
import typing as t

import pytest
from playwright.sync_api import Page

from ansible_collections.meshops.locality.plugins.module_utils._report.assessment import GRADES
from ansible_collections.meshops.locality.plugins.module_utils._report.assessment_page import assessment_page
from ansible_collections.meshops.locality.plugins.plugin_utils._mesh_queries import ask
from tests.browser.conftest import READERS, Reader
from tests.browser.test_drill_page import grave, overflowing
from tests.unit.plugins.module_utils._forecast.tutorial_mesh import rule, snapshot

Open = t.Callable[[str, str, Reader], Page]
MANY = 5000


@functools.cache
def page_text(services: int) -> str:
    """Return the page of the tutorial; with more than one Service, its row repeated with all grades."""
    assessed = ask("assessment", snapshot(rule()), {})
    if services > 1:
        (row,) = assessed["rows"]
        rows = []
        for index in range(services):
            worst = len(GRADES) - 1 - index * len(GRADES) // services
            cells = [{**cell, "grade": max(0, worst - at), "share": 0.25} for at, cell in enumerate(row["cells"])]
            namespace = f"team-{index % 40:02}"
            name = f"service-{index:04}.{namespace}:8080"
            rows.append({**row, "name": name, "namespace": namespace, "grade": worst, "cells": cells})
        assessed.update(rows=rows, services=services)
        assessed["grades"] = {
            word: sum(matrix_row["grade"] == at for matrix_row in rows) for at, (_s, word, _m) in enumerate(GRADES)
        }
    return assessment_page(assessed)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
@pytest.mark.parametrize("services", [1, MANY])
def test_everybody_can_read_it(opened: Open, services: int, reader: Reader) -> None:
    page = opened(f"assessment-{services}", page_text(services), reader)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert overflowing(page) == []
    assert page.locator("#grid tbody tr").count() == min(services, 50)
    if reader.script and reader.media == "screen" and (services == 1 or reader.name == "desk-dark"):
        assert grave(page) == []


def test_thousands_stay_fluid(opened: Open) -> None:
    page = opened("assessment-search", page_text(MANY), READERS[0])
    search = page.get_by_label("Service", exact=True)
    begin = time.monotonic()
    search.fill("service-4321")
    assert page.locator("#grid tbody tr").count() == 1
    assert time.monotonic() - begin < 3  # on a machine that does other things; it takes 30 ms
    assert page.locator("#shown").inner_text() == "1 of 1 Services of 5,000"
    search.fill("")
    page.get_by_label("Namespace").select_option("team-07")
    page.get_by_label("Grade").select_option("4")
    count = page.locator("#shown").inner_text()
    assert count.endswith("Services of 5,000")
    assert page.locator("#grid tbody tr").count() > 0
    assert page.locator("#grid tbody .g5, #grid tbody .g4").count() >= page.locator("#grid tbody tr").count()
    page.get_by_label("Namespace").select_option("")
    page.get_by_role("button", name="Show 200 more").click()
    assert page.locator("#grid tbody tr").count() == 250


def test_a_cell_has_its_reason_and_its_fix(opened: Open) -> None:
    for reader in (READERS[0], READERS[4]):  # with and without scripts
        page = opened("assessment-reason", page_text(1), reader)
        page.locator("#grid summary").first.click()
        text = page.locator("#grid tbody ul").inner_text()
        assert "of its requests fail until readiness probes fail" in text or "Kubernetes" in text
        assert "maxEjectionPercent: " in text
