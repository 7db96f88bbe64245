# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real Envoy judges `_envoy`: shares of requests, limits of ejection, and what a failover costs.

A small sample of what `tools/envoy_oracle.py` does, with another seed in each run; MESHOPS_ORACLE_SEED repeats one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import socket
import statistics
import sys
from pathlib import Path

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._envoy.ejection_waves import waves
from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import (
    Fault,
    broken_hosts,
    failure_of,
)
from ansible_collections.meshops.locality.plugins.module_utils._envoy.locality_shares import LocalityHosts
from ansible_collections.meshops.locality.plugins.module_utils._envoy.retries import Retries

from .envoy import ejection, forecast_fit, process, programs, shares, transitions
from .envoy.forecast_fit import Part

VERSIONS = programs.known_versions()
SEED = int(os.environ.get("MESHOPS_ORACLE_SEED") or random.SystemRandom().randrange(10**6))


@pytest.fixture(autouse=True)
def seed(record_property) -> int:
    """Say the seed, which a failure shows."""
    record_property("seed", SEED)
    sys.stdout.write(f"MESHOPS_ORACLE_SEED={SEED}\n")
    return SEED


@pytest.mark.parametrize(("version", "number"), list(zip(VERSIONS, (28, 12), strict=False)))
def test_envoy_spreads_requests_as_forecast(version: str, number: int) -> None:
    verdict = shares.judge(version, number, SEED, 1200)
    report = "\n".join(verdict.lines())
    assert not verdict.rejected, report
    # The same counts must speak against forecasts that are wrong on purpose, of whatever kind this seed brings.
    assert sum(number > 0 for number in verdict.caught.values()) >= 3, report


def test_the_requests_of_a_wrong_forecast_are_noticed() -> None:
    """What the arithmetic's finest rules change is noticed at the numbers that the command sends by default."""

    def p_values(right: float, wrong: float) -> tuple[float, float]:
        listed = round(5000 * right)
        return forecast_fit.fit([Part("p", right, listed)], 5000).p, forecast_fit.fit(
            [Part("p", wrong, listed)], 5000
        ).p

    assert forecast_fit.rejected([*p_values(0.98, 1.0), *[1.0] * 298]) == [1]  # 140 * 7 // 10, or enough for everything
    assert forecast_fit.rejected([*p_values(0.56, 0.6), *[1.0] * 298]) == [1]  # 2 of 5 at 140, or at 150
    assert forecast_fit.rejected([*p_values(0.0, 0.004), *[1.0] * 298]) == [1]
    assert forecast_fit.fit([Part("impossible", 0.0, 1), Part("other", 1.0, 4999)], 5000).p == 0.0


def test_holms_method() -> None:
    assert forecast_fit.rejected([0.0004, 0.9, 0.0003, 0.001]) == []
    assert forecast_fit.rejected([0.0002, 0.9, 0.0003, 0.001]) == [0, 2]
    assert forecast_fit.rejected([]) == []


@pytest.mark.parametrize("version", VERSIONS[:1])
def test_envoy_ejects_as_many_as_forecast(version: str) -> None:
    outcomes = ejection.provoke(version, 36, SEED)
    assert [str(outcome) for outcome in outcomes if not outcome.fits] == []
    # A limit that rounds up would be noticed.
    assert any(outcome.ejected != outcome.case.wrong for outcome in outcomes)


CASES = [case for case in transitions.CASES if "5 in a row" not in case.name and "1 host" not in case.name][:7]
CASES += [case for case in transitions.CASES if case.name.endswith("in P0 and in P1, 3 in a row") or case.weights]


@pytest.mark.parametrize("version", VERSIONS[:1])
def test_a_failover_costs_what_the_model_says(version: str) -> None:
    outcomes = transitions.measure(version, 2, CASES, at_once=4)
    assert [str(outcome) for outcome in outcomes if not outcome.fits] == []
    # Without the merge window the model would say 3, without ejection 250: both must be noticed.
    first = outcomes[0]
    assert not first.like(3)
    assert not first.like(transitions.RATE * transitions.SECONDS)


@pytest.mark.parametrize("version", VERSIONS[:1])
def test_hosts_that_stay_broken_cost_requests_again(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ejections of 3 s within 14 s: the waves cost what the simulation says, which is far from the first failover's."""
    monkeypatch.setattr(transitions, "RATE", 20.0)
    monkeypatch.setattr(transitions, "SECONDS", 14.0)
    monkeypatch.setattr(transitions, "CALM", 0.5)
    short = {"interval": "1s", "base_ejection_time": "3s"}
    listed = [
        transitions.Case("1 host refuses", 1, Fault.REFUSED, detection=short),
        transitions.Case("3 hosts refuse", 3, Fault.REFUSED, detection=short),
        transitions.Case("3 hosts refuse, Istio's retries", 3, Fault.REFUSED, Retries(), detection=short),
    ]
    for outcome in transitions.measure(version, 3, listed, at_once=3):
        case = outcome.case
        groups = [LocalityHosts(0, None, case.hosts), LocalityHosts(1, None, 3)]
        broken = broken_hosts(groups, [case.hosts, 0], [case.hosts, 0], case.fault, case.client)
        assert broken is not None
        forecast = waves(broken, 20.0, 14.0, None)
        failed = statistics.median(outcome.failed)  # a machine that is busy for a second makes one round longer
        assert forecast.least - 4 <= failed <= forecast.most + 4, (str(outcome), forecast)
        # The waves, and not the first failover alone. A multiple of the first failover is no bound: with retries the
        # simulation itself reaches down to 18, where 1.5 times 10.7 and 4 would ask for more than 20.
        first = case.forecast.expected_failed_requests or 0.0
        assert abs(failed - forecast.failed) < abs(failed - first), (str(outcome), forecast)


@pytest.mark.parametrize("version", VERSIONS[:1])
def test_of_a_connection_that_it_forwards_envoy_sees_only_whether_it_comes_about(version: str, tmp_path: Path) -> None:
    """A TCP port: refused connections eject; connections that end at once, and answers with 503, never do."""
    faults = {"refused": Fault.REFUSED, "closed": Fault.RESET, "error": Fault.GATEWAY_ERROR}
    used, listening = process.ports(), {name: process.free_port() for name in faults}
    cases = {name: transitions.Case(name, 3, fault) for name, fault in faults.items()}
    configuration = process.bootstrap({name: case.cluster(name, used) for name, case in cases.items()}, {}, used)
    configuration["static_resources"]["listeners"] += [
        process.forwarding(f"to {name}", port, name) for name, port in listening.items()
    ]
    with process.Envoy(version, configuration, tmp_path) as envoy:
        for port in listening.values():
            for _connection in range(20):
                with socket.create_connection(("127.0.0.1", port), 5) as connection:
                    connection.settimeout(5)
                    connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    with contextlib.suppress(ConnectionError):
                        connection.recv(100)
        ejected = {
            name: sum("failed_outlier_check" in endpoint.health_reasons for endpoint in endpoints)
            for name, endpoints in envoy.endpoints().items()
            if name in faults
        }
    predicted = {}
    for name, case in cases.items():
        failure = failure_of(case.fault, dataclasses.replace(case.client, http=False))
        errors = case.client.detection.errors_to_eject(failure) if case.client.detection and failure else None
        predicted[name] = 3 if errors else 0
    assert ejected == predicted == {"refused": 3, "closed": 0, "error": 0}
