# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that is cut off: no packet comes in, none goes out, and nobody is told, as when a machine loses its power.

Two firewall rules in the node's own network namespace, which vanish with it. ARP goes on: who sends gets neither a
reset nor "host unreachable", as behind a cloud's router. The rules say themselves until when they hold.
"""

from __future__ import annotations

import math
import re
import shlex

from meshops_sandbox.network import in_namespace

# What comes in is dropped before connections are tracked; what goes out, of pods as well, behind all else.
_PLACES = (("raw", "PREROUTING", "-i"), ("mangle", "POSTROUTING", "-o"))
_COMMENT = "meshops-sandbox stopped until "


def cut(namespace: str, until: float) -> None:
    """Cut off the node with this network namespace. `until` is in seconds since the epoch, or infinite: that it ends
    then is left to the caller."""
    if cut_until(namespace) == until:
        return
    reconnect(namespace)
    for table, chain, direction in _PLACES:
        rule = (direction, "eth0", "-m", "comment", "--comment", f"{_COMMENT}{until:.3f}", "-j", "DROP")
        in_namespace(namespace, "iptables", "-w", "-t", table, "-I", chain, *rule)


def reconnect(namespace: str) -> None:
    """Let packets in and out again; does nothing when they are."""
    for table, chain, _ in _PLACES:
        for rule in _rules(namespace, table, chain):
            in_namespace(namespace, "iptables", "-w", "-t", table, "-D", *shlex.split(rule)[1:])


def cut_until(namespace: str) -> float | None:
    """Until when the node is cut off, infinite without an end; None when it is not, or only half of it is."""
    times = {
        float(match[1]) if match else math.nan
        for table, chain, _ in _PLACES
        for rule in _rules(namespace, table, chain) or [""]
        for match in [re.search(_COMMENT + r"([\d.]+|inf)", rule)]
    }
    return times.pop() if len(times) == 1 and not math.isnan(min(times)) else None


def _rules(namespace: str, table: str, chain: str) -> list[str]:
    listed = in_namespace(namespace, "iptables", "-w", "-t", table, "-S", chain)
    return [line for line in listed.splitlines() if _COMMENT in line]
