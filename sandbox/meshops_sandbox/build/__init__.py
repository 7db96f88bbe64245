# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything a sandbox is made of: binaries, images and an image store, built once and cached by content.

`ensure` is the door. It is quick (well under a second) when everything is there.
"""

from __future__ import annotations

from meshops_sandbox.build.artifacts import Artifacts, BuildError
from meshops_sandbox.build.image_store import copy_image_store
from meshops_sandbox.build.pipeline import (
    current,
    ensure,
    ensure_kube_router,
    ensure_kwok,
    ensure_oracle,
    is_built,
    missing_space,
    needed_bytes,
    prune,
)
from meshops_sandbox.build.report import PlainReport, Report, Step
from meshops_sandbox.build.versions import lines

__all__ = [
    "Artifacts",
    "BuildError",
    "PlainReport",
    "Report",
    "Step",
    "copy_image_store",
    "current",
    "ensure",
    "ensure_kube_router",
    "ensure_kwok",
    "ensure_oracle",
    "is_built",
    "lines",
    "missing_space",
    "needed_bytes",
    "prune",
]
