# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many hosts Envoy ejects: clusters of nothing but broken hosts, and the ejected ones counted."""

from __future__ import annotations

import random
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from .outlier_message import parse_outlier_detection
from .process import Broken, Envoy, Json, Ports, bootstrap, many_files, ports

FAULTS = ("nobody", "error", "close")
PERCENTS = (None, 10, 34, 50, 67, 100)


@dataclass(frozen=True)
class Case:
    """A cluster whose hosts all fail in one way. `percent` None: the field is left out."""

    name: str
    hosts: int
    priorities: int
    percent: int | None
    always_one: bool
    fault: str

    @property
    def message(self) -> Json:
        """The outlier_detection message."""
        message: Json = {"consecutive_5xx": 1, "interval": "600s", "base_ejection_time": "600s"}
        if self.percent is not None:
            message["max_ejection_percent"] = self.percent
        if self.always_one:
            message["always_eject_one_host"] = True
        return message

    @property
    def forecast(self) -> int:
        """How many hosts should be ejected in the end."""
        detection = parse_outlier_detection(self.message)
        if detection is None:
            raise Broken(f"{self.message} was not read.")
        return detection.ejectable(self.hosts)

    @property
    def wrong(self) -> int:
        """What somebody would say who rounds up, or who has not read that "at least one host" is gone."""
        percent = 10 if self.percent is None else self.percent
        return max(1, -(-percent * self.hosts // 100))

    def cluster(self, used: Ports) -> Json:
        """The cluster's configuration; hosts are dealt to the priorities in turn."""
        port = getattr(used, self.fault)
        levels: list[list[Json]] = [[] for _priority in range(self.priorities)]
        for host in range(self.hosts):
            address = {"socket_address": {"address": f"127.30.0.{host + 1}", "port_value": port}}
            levels[host % self.priorities].append({"endpoint": {"address": address}})
        return {
            "name": self.name,
            "type": "STATIC",
            "lb_policy": "ROUND_ROBIN",
            "connect_timeout": "5s",
            "common_lb_config": {"healthy_panic_threshold": {"value": 0}, "update_merge_window": "0s"},
            "outlier_detection": self.message,
            "load_assignment": {
                "cluster_name": self.name,
                "endpoints": [{"priority": index, "lb_endpoints": hosts} for index, hosts in enumerate(levels)],
            },
        }


class Outcome(t.NamedTuple):
    """What came out of one case."""

    case: Case
    ejected: int

    @property
    def fits(self) -> bool:
        """Whether Envoy ejected as many as forecast."""
        return self.ejected == self.case.forecast

    def __str__(self) -> str:
        case = self.case
        return (
            f"{case.hosts} hosts in {case.priorities} priorities, {case.percent} %, always one {case.always_one}, "
            f"{case.fault}: forecast {case.forecast}, ejected {self.ejected}"
        )


def cases(number: int, seed: int) -> list[Case]:
    """Return so many cases; each percent and each fault comes in turn."""
    generated = []
    for index in range(number):
        source = random.Random(f"{seed}/ejection/{index}")
        hosts = source.choice([1, 2, 3, 4, 5, 7, 9, 10, 11, 20, 29])
        generated.append(
            Case(
                name=f"e{index}",
                hosts=hosts,
                priorities=min(hosts, source.randint(1, 3)),
                percent=PERCENTS[index % len(PERCENTS)],
                always_one=source.random() < 0.3,
                fault=FAULTS[index // len(PERCENTS) % len(FAULTS)],
            )
        )
    return generated


def provoke(version: str, number: int, seed: int) -> list[Outcome]:
    """Send requests until nobody else can be ejected, and count. Raises Broken when that did not work."""
    many_files()
    listed = cases(number, seed)
    used = ports()
    with tempfile.TemporaryDirectory(prefix="envoy-oracle-") as name:
        configuration = bootstrap({case.name: case.cluster(used) for case in listed}, {}, used)
        with Envoy(version, configuration, Path(name)) as envoy:
            # One connection: each request finds the ejection that the one before caused, or is a round behind.
            sent = envoy.send([case.name for case in listed], 4 * max(case.hosts for case in listed), connections=1)
            endpoints = envoy.endpoints()
    if sent.ok:
        raise Broken(f"{sent.ok} requests were answered with 200 by hosts that all are broken.")
    return [
        Outcome(case, sum("failed_outlier_check" in host.health_reasons for host in endpoints[case.name]))
        for case in listed
    ]
