# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client saw of its requests, counted.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import math
import typing as t
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """One request as the client saw it.

    `sent` (since the first request) and `seconds` (how long it took) are seconds. `code` is the HTTP status, 0 without
    an answer; `curl` is curl's exit code. `pod` and `locality` are who answered, as far as known.
    """

    index: int
    sent: float
    code: int
    curl: int
    seconds: float
    pod: str = ""
    locality: str = ""

    @property
    def ok(self) -> bool:
        """A complete answer with a 2xx or 3xx status."""
        return self.curl == 0 and 200 <= self.code < 400

    @property
    def outcome(self) -> str:
        """The HTTP status, or `curl 28` when there was no complete answer."""
        return outcome(self.code, self.curl)


def outcome(code: int, curl: int) -> str:
    """Return an answer's HTTP status, or `curl 28` (its exit code) when there was no complete answer."""
    return f"curl {curl}" if curl else f"{code:03d}"


def counted(values: t.Iterable[str]) -> dict[str, int]:
    """Return how often each value comes, most frequent first; empty values are `unknown`."""
    frequencies = Counter(value or "unknown" for value in values)
    return dict(sorted(frequencies.items(), key=lambda entry: (-entry[1], entry[0])))


def percentile(ordered: t.Sequence[float], percent: float) -> float:
    """Return the smallest of the (sorted) values that at least `percent` of them do not exceed: nearest rank."""
    return ordered[max(1, math.ceil(percent / 100 * len(ordered))) - 1]


def tally(answers: t.Sequence[Answer]) -> dict[str, t.Any]:
    """Return who answered, what failed and when, and how long it took (milliseconds, of the succeeded requests)."""
    ordered = sorted(answers, key=lambda answer: answer.index)
    succeeded = [answer for answer in ordered if answer.ok]
    failed = [answer for answer in ordered if not answer.ok]
    took = sorted(1000 * answer.seconds for answer in succeeded)
    latency: dict[str, float | None] = dict.fromkeys(("min", "p50", "p90", "p99", "max"))
    if took:
        points = {"min": 0, "p50": 50, "p90": 90, "p99": 99, "max": 100}
        latency = {name: round(percentile(took, percent), 3) for name, percent in points.items()}
    lines = timeline(ordered)
    return {
        "sent": len(ordered),
        "succeeded": len(succeeded),
        "failed_requests": len(failed),
        "by_pod": counted(answer.pod for answer in succeeded),
        "by_locality": counted(answer.locality for answer in succeeded),
        "by_code": counted(answer.outcome for answer in ordered),
        "first_failure": round(failed[0].sent, 3) if failed else None,
        "last_failure": round(failed[-1].sent, 3) if failed else None,
        "outage": outage(lines),
        "latency": latency,
        "timeline": lines,
    }


def timeline(answers: t.Sequence[Answer]) -> list[dict[str, t.Any]]:
    """Return one entry for each second from the first request to the last, of the requests that were sent in it."""
    if not answers:
        return []
    seconds: list[list[Answer]] = [[] for _second in range(int(max(answer.sent for answer in answers)) + 1)]
    for answer in answers:
        seconds[int(answer.sent)].append(answer)
    return [
        {
            "second": second,
            "sent": len(group),
            "failed": sum(not answer.ok for answer in group),
            "by_locality": counted(answer.locality for answer in group if answer.ok),
        }
        for second, group in enumerate(seconds)
    ]


def outage(lines: t.Iterable[t.Mapping[str, t.Any]]) -> int:
    """Return the length of the longest run of seconds in each of which a request that was sent then failed.

    A second in which nothing was sent neither starts, counts in, nor ends a run.
    """
    longest = run = 0
    for line in lines:
        if line["sent"]:
            run = run + 1 if line["failed"] else 0
            longest = max(longest, run)
    return longest
