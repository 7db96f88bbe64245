# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixtures of these tests: those of tests/installed.py."""

from __future__ import annotations

from tests.installed import controller, execution_environment, installed, shell, tarball, unpacked

__all__ = ["controller", "execution_environment", "installed", "shell", "tarball", "unpacked"]
