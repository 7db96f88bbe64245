# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load arithmetic before its judge: many clusters, thousands of requests each, hosts' own counters."""

from __future__ import annotations

import tempfile
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.meshops.locality.plugins.module_utils._envoy.priority_load import Shares

from . import forecast_fit, wrong_forecasts
from .cases import Case, cases, cluster
from .process import Broken, Envoy, bootstrap, many_files, ports

#: Clusters of one Envoy; its endpoints are two sockets each.
BATCH = 50
CONNECTIONS = 4


@dataclass
class Verdict:
    """What came out: the fits of all cases in order, and how many each wrong model has that do not fit."""

    cases: list[Case]
    requests: int = 0
    seconds: float = 0.0
    fits: list[forecast_fit.Fit] = field(default_factory=list)
    wrong: dict[str, list[float]] = field(default_factory=dict)

    @property
    def rejected(self) -> list[int]:
        """The cases that Envoy did not treat as forecast."""
        return forecast_fit.rejected([fit.p for fit in self.fits])

    @property
    def caught(self) -> dict[str, int]:
        """For each wrong model, how many cases reject it."""
        return {name: len(forecast_fit.rejected(p_values)) for name, p_values in self.wrong.items()}

    def lines(self) -> t.Iterator[str]:
        """Say it."""
        smallest = min(self.fits, key=lambda case_fit: case_fit.p)
        yield (
            f"{len(self.cases)} configurations, {self.requests} requests, {len(self.rejected)} rejections at the "
            f"family-wise level {forecast_fit.LEVEL:g} (smallest p {smallest.p:.3g}), {self.seconds:.0f} s"
        )
        for index in self.rejected:
            case, fit = self.cases[index], self.fits[index]
            yield (
                f"  rejected: {case.name} ({case.kind}), p {fit.p:.3g}: {fit.worst.what} forecast "
                f"{fit.worst.share:.5f}, got {fit.worst.requests}; {case.settings}; {case.entries}"
            )
        for name, number in self.caught.items():
            yield f"  wrong on purpose: {name}: rejected in {number} configurations"


def judge(
    version: str, number: int, seed: int, each: int, say: t.Callable[[str], None] = lambda _line: None
) -> Verdict:
    """Send `each` requests to each of `number` cases and compare. Raises Broken when that did not work."""
    many_files()
    verdict = Verdict(cases(number, seed), wrong={name: [] for name in wrong_forecasts.WRONG})
    begin = time.monotonic()
    for start in range(0, number, BATCH):
        _batch(verdict, version, verdict.cases[start : start + BATCH], each)
        verdict.seconds = time.monotonic() - begin
        say(f"{len(verdict.fits)} of {number} configurations, {verdict.seconds:.0f} s")
    return verdict


def _batch(verdict: Verdict, version: str, batch: list[Case], each: int) -> None:
    with tempfile.TemporaryDirectory(prefix="envoy-oracle-") as name:
        folder, used = Path(name), ports()
        clusters = {case.name: cluster(case, used.ok, folder) for case in batch}
        with Envoy(version, bootstrap(clusters, {}, used), folder) as envoy:
            answered = 0
            for alone in (False, True):
                names = [case.name for case in batch if case.one_at_a_time == alone]
                if names:
                    answered += envoy.send(names, each, connections=1 if alone else CONNECTIONS).ok
            endpoints = envoy.endpoints()
    reached = 0
    for case in batch:
        hosts = case.hosts
        requests = {endpoint.ip: endpoint.counters["rq_total"] for endpoint in endpoints.get(case.name, [])}
        if sorted(requests) != sorted(host.address for host in hosts):
            raise Broken(f"{case.name}: Envoy holds {sorted(requests)}, not {sorted(host.address for host in hosts)}.")
        listed = [requests[host.address] for host in hosts]
        reached += sum(listed)
        verdict.requests += each
        forecast = wrong_forecasts.right(case)
        verdict.fits.append(_fit(case, forecast, listed, each))
        for what, model in wrong_forecasts.WRONG.items():
            other = model(case)
            same = other == forecast
            verdict.wrong[what].append(verdict.fits[-1].p if same else _fit(case, other, listed, each).p)
    if reached != answered:
        raise Broken(f"h2load got {answered} answers with 200, but Envoy sent {reached} requests to endpoints.")


def _fit(case: Case, shares: Shares, requests: list[int], each: int) -> forecast_fit.Fit:
    return forecast_fit.fit(forecast_fit.parts(case.hosts, shares.shares, shares.none, requests, each), each)
