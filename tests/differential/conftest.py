# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the differential tests."""

from __future__ import annotations

import typing as t

import pytest

from tests.differential.oracle import Oracle


@pytest.fixture(scope="session")
def oracle() -> t.Iterator[t.Callable[..., Oracle]]:
    """`oracle("1.31", PILOT_SEND_UNHEALTHY_ENDPOINTS="true")`: the oracle of a line and feature variables, one process
    each for the whole session."""
    running: dict[tuple[str | None, tuple[tuple[str, str], ...]], Oracle] = {}

    def get(line: str | None = None, **env: str) -> Oracle:
        key = (line, tuple(sorted(env.items())))
        if key not in running:
            running[key] = Oracle(line, env)
        return running[key]

    yield get
    for process in running.values():
        process.close()
