# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MESHOPS_SANDBOX_PATIENCE stretches the time limits, those of kubelet and of the controller manager included."""

from __future__ import annotations

import types

import pytest

from meshops_sandbox import boot, nodes
from meshops_sandbox.errors import BootError, PreflightError
from meshops_sandbox.progress import Progress
from meshops_sandbox.time_limits import VARIABLE, factor, stretched


@pytest.mark.parametrize(("text", "number"), [(None, 1), ("", 1), ("1", 1), ("2.5", 2.5), ("1000", 1000)])
def test_the_factor(monkeypatch: pytest.MonkeyPatch, text: str | None, number: float) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if text is not None:
        monkeypatch.setenv(VARIABLE, text)
    assert factor() == number
    assert stretched(90) == 90 * number


@pytest.mark.parametrize("text", ["long", "0", "0.5", "-3", "1001", "nan", "inf"])
def test_what_is_no_factor_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(PreflightError, match=f"{VARIABLE} is '{text}', not a number from 1 to 1000"):
        factor()


def test_a_step_of_up_waits_as_long_as_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "3")
    seconds = iter(range(0, 1000, 100))
    clock = types.SimpleNamespace(monotonic=lambda: next(seconds), sleep=lambda _seconds: None)
    monkeypatch.setattr(boot, "time", clock)
    asked = 0

    def never() -> bool:
        nonlocal asked
        asked += 1
        return False

    with Progress(quiet=True) as progress, pytest.raises(BootError, match="not reached within 270 s"):
        boot._wait(never, 90, "nodes ready", list, progress, "")
    assert asked == 3  # at 100, 200 and 300 s


def test_the_controller_manager_waits_longer_for_silent_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "10")
    assert nodes._grace(fake=False) == "500s"
    assert nodes._grace(fake=True) == "36000s"
