# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does what Envoy did fit the forecast?

Of each case the share of every host, of every locality of a priority, of every priority, and of "no healthy upstream"
is tested by the exact binomial test (two-sided), and the smallest p-value counts, times the number of tests
(Bonferroni). A host with the share 0 that got a request has the p-value 0. Over all cases Holm's method keeps the
chance of even one wrong rejection below LEVEL. The test errs on the safe side: Envoy's weighted schedules (round robin,
locality weights) spread requests more evenly than chance would, so p-values are rather too large.
"""

from __future__ import annotations

import functools
import typing as t
from collections import defaultdict

import scipy.stats

from ansible_collections.meshops.locality.plugins.module_utils._envoy.host_shares import Host

#: The chance of rejecting any case at all of a run when all forecasts are right.
LEVEL = 1e-3


class Part(t.NamedTuple):
    """Something that gets requests: its forecast share and its requests."""

    what: str
    share: float
    requests: int


class Fit(t.NamedTuple):
    """How well one case fits: its p-value, and the part that fits worst."""

    p: float
    worst: Part


def parts(
    hosts: t.Sequence[Host], shares: t.Sequence[float], none: float, requests: t.Sequence[int], total: int
) -> list[Part]:
    """Return hosts, localities, priorities and "no healthy upstream" with forecast and requests."""
    listed = [Part("no healthy upstream", none, total - sum(requests))]
    groups: dict[str, list[float]] = defaultdict(lambda: [0.0, 0])
    for host, share, count in zip(hosts, shares, requests, strict=True):
        listed.append(Part(f"host {host.address} ({host.state})", share, count))
        for key in (f"priority {host.priority}", f"priority {host.priority} {host.locality} {host.state}"):
            groups[key][0] += share
            groups[key][1] += count
    return listed + [Part(what, min(1.0, share), int(count)) for what, (share, count) in groups.items()]


def fit(listed: t.Sequence[Part], total: int) -> Fit:
    """Return the fit of one case."""
    smallest, worst = 2.0, listed[0]
    for part in listed:
        share = 0.0 if part.share < 1e-12 else min(1.0, part.share)
        share = 1.0 if share > 1 - 1e-12 else share
        if share in (0.0, 1.0):
            p = 1.0 if part.requests == share * total else 0.0
        else:
            p = _exact(part.requests, total, round(share, 12))
        if p < smallest:
            smallest, worst = p, part
    return Fit(min(1.0, smallest * len(listed)), worst)


@functools.lru_cache(maxsize=100_000)
def _exact(requests: int, total: int, share: float) -> float:
    return float(scipy.stats.binomtest(requests, total, share).pvalue)


def rejected(p_values: t.Sequence[float], level: float = LEVEL) -> list[int]:
    """Return which are rejected at the family-wise level, by Holm's method."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    wrong = []
    for rank, index in enumerate(order):
        if p_values[index] > level / (len(order) - rank):
            break
        wrong.append(index)
    return sorted(wrong)
