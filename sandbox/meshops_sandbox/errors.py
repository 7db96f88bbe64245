# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user of the sandbox can meet, and the exit code each of them ends with."""

from __future__ import annotations

import typing as t


class SandboxError(Exception):
    """One clear sentence, and what to do about it. `details` are further lines (the end of a log, other findings)."""

    exit_code: t.ClassVar[int] = 1

    def __init__(self, sentence: str, remedy: str = "", details: t.Sequence[str] = ()) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy
        self.details = tuple(details)


class PreflightError(SandboxError):
    """This machine or this request cannot be served; nothing was changed."""

    exit_code = 3


class TopologyError(SandboxError):
    """The topology file does not describe a sandbox."""

    exit_code = 4


class NotRunningError(SandboxError):
    """The sandbox is asked for something only a running sandbox can answer."""

    exit_code = 5


class BusyError(SandboxError):
    """Another meshops-sandbox command works on the same sandbox."""

    exit_code = 6


class BootError(SandboxError):
    """A step of `up` failed or took too long. What was created stays, so that the logs can be read; `up` or `down`
    cleans up."""

    exit_code = 7
