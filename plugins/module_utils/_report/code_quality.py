# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings as a GitLab Code Quality report: a list of problems with file, line, severity and fingerprint.

Pure. Private to this collection: it may change at any time.
Source: docs.gitlab.com, "Code Quality report format" (description, check_name, fingerprint, severity, location).
"""

from __future__ import annotations

import hashlib
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import ERROR, WARNING, Finding

_SEVERITY: t.Mapping[str, str] = {ERROR: "critical", WARNING: "minor"}


def code_quality(findings: t.Sequence[Finding]) -> list[dict[str, t.Any]]:
    """Return the problems as plain values. Suppressed findings are left out, because the format has no place for them.

    A finding of no file gets the path `cluster` and line 1, because GitLab wants both. The fingerprint is made of
    rule, object and field, so that GitLab knows which findings are new.
    """
    return [
        {
            "description": f"{finding.object}: {finding.message}",
            "check_name": finding.id,
            "fingerprint": hashlib.sha256(f"{finding.id}|{finding.object}|{finding.field}".encode()).hexdigest(),
            "severity": _SEVERITY.get(finding.severity, "info"),
            "location": _location(finding.source),
        }
        for finding in findings
        if not finding.suppressed
    ]


def _location(source: str) -> dict[str, t.Any]:
    path, _colon, line = source.rpartition(":")
    if not path or not line.isdecimal():
        path, line = source or "cluster", "1"
    return {"path": path, "lines": {"begin": int(line)}}
