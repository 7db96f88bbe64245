# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests that need a cluster."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from .fault_proxy import FaultProxy
from .mesh import bare, mesh

__all__ = ["bare", "mesh"]


@pytest.fixture
def fault_proxy(kubeconfig: Path, tmp_path: Path) -> t.Iterator[FaultProxy]:
    """The real API server behind a proxy that can be told to misbehave."""
    proxy = FaultProxy(kubeconfig, tmp_path)
    yield proxy
    proxy.close()
