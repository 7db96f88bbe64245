# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Envoy's access log as Istio configures it: the default TEXT format and the default JSON encoding.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import json
import re
import typing as t
from collections import Counter
from dataclasses import dataclass

# Source: istio pilot/pkg/model/telemetry_logging.go, EnvoyTextLogFormat and EnvoyJSONLogFormatIstio.
_TEXT = re.compile(
    r"\[(?P<start_time>\d{4}-\d\d-\d\dT[^\]]*)\] "
    r'"(?P<method>\S+) (?P<path>\S+) (?P<protocol>[^"]+)" '
    r"(?P<response_code>\d+|-) (?P<response_flags>\S+) (?P<response_code_details>\S+) (?P<termination>.*?) "
    r'"(?P<transport_failure>[^"]*)" \S+ \S+ (?P<duration>\S+) \S+ '
    r'"(?P<forwarded_for>[^"]*)" "(?P<user_agent>[^"]*)" "(?P<request_id>[^"]*)" "(?P<authority>[^"]*)" '
    r'"(?P<upstream_host>[^"]*)" (?P<upstream_cluster>\S+)'
)


@dataclass(frozen=True)
class AccessLogEntry:
    """One request as the proxy logged it. Where the log has `-`, texts are empty; `response_code` 0: no answer."""

    request_id: str
    upstream_host: str
    upstream_cluster: str
    response_code: int
    response_flags: str
    duration_ms: int | None
    start_time: str
    path: str


def parse_access_log(text: str) -> list[AccessLogEntry]:
    """Return the requests in a log; lines that are something else (pilot-agent's own, other formats) are left out."""
    entries = []
    for line in text.splitlines():
        fields = _fields(line)
        if fields is not None:
            entries.append(_entry(fields))
    return entries


def _fields(line: str) -> t.Mapping[str, t.Any] | None:
    line = line.strip()
    if line.startswith("{"):
        try:
            fields = json.loads(line)
        except ValueError:
            return None
        return fields if isinstance(fields, dict) and "upstream_host" in fields and "response_code" in fields else None
    # kubelet's timestamps, when asked for, stand in front.
    match = _TEXT.search(line)
    return match.groupdict() if match else None


def _entry(fields: t.Mapping[str, t.Any]) -> AccessLogEntry:
    def text(name: str) -> str:
        value = fields.get(name)
        return "" if value in (None, "-") else str(value)

    code, duration = text("response_code"), text("duration")
    return AccessLogEntry(
        request_id=text("request_id"),
        upstream_host=text("upstream_host"),
        upstream_cluster=text("upstream_cluster").strip('"'),
        response_code=int(code) if code.isdigit() else 0,
        response_flags=text("response_flags"),
        duration_ms=int(duration) if duration.isdigit() else None,
        start_time=text("start_time"),
        path=text("path"),
    )


def count_upstreams(entries: t.Iterable[AccessLogEntry]) -> dict[str, t.Any]:
    """Return how many requests each upstream host, cluster, code and flag has; the key `-` is none at all."""
    listed = list(entries)

    def numbered(values: t.Iterable[str]) -> dict[str, int]:
        return dict(sorted(Counter(value or "-" for value in values).items()))

    return {
        "requests": len(listed),
        "by_upstream_host": numbered(entry.upstream_host for entry in listed),
        "by_upstream_cluster": numbered(entry.upstream_cluster for entry in listed),
        "by_code": numbered(str(entry.response_code) for entry in listed),
        "by_flag": numbered(entry.response_flags for entry in listed),
    }
