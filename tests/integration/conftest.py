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

#: The files that take longest. They come first, so that the two processes of `make test`, which take one file after the
#: other, end at about the same time.
LONGEST = ("faults", "listener", "workloads", "rights", "node_topology", "bad_input", "canary")
_HERE = Path(__file__).parent
_PLACES = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first; the tests of one file stay as they are."""
    items.sort(key=lambda item: _PLACES.get(item.path.name, len(_PLACES)) if item.path.parent == _HERE else -1)


@pytest.fixture
def fault_proxy(kubeconfig: Path, tmp_path: Path) -> t.Iterator[FaultProxy]:
    """The real API server behind a proxy that can be told to misbehave."""
    proxy = FaultProxy(kubeconfig, tmp_path)
    yield proxy
    proxy.close()
