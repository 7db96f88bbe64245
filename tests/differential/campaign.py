# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many generated meshes: what we say about each next to what istiod says, and what is left of a mesh that differs."""

from __future__ import annotations

import json
import time
import traceback
import typing as t
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from .compare import Plan, differences, kind
from .meshes import generate
from .oracle import Oracle, OracleError
from .rule_coverage import traps
from .shrink import readable, shrink

Json = dict[str, t.Any]

#: Settings of istiod's own process, by name. The first one is Istio's default, which most meshes are asked under.
PROFILES: t.Mapping[str, t.Mapping[str, str]] = {
    "default": {},
    "send-unready": {"PILOT_SEND_UNHEALTHY_ENDPOINTS": "true"},
    "keep-unready-out": {"PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS": "false"},
    "always-weighted": {"ENABLE_LOCALITY_WEIGHTED_LB_CONFIG": "true"},
    "headless-eds": {"PILOT_ENABLE_EDS_FOR_HEADLESS_SERVICES": "true"},
    "own-labels": {
        "PILOT_PERSISTENT_SESSION_LABEL": "istio.io/persistent-session-header",
        "PILOT_DRAINING_LABEL": "tier",
    },
    "plain-merge": {"ENABLE_ENHANCED_DESTINATIONRULE_MERGE": "false"},
}
#: The share of the meshes that are asked under the default.
MOSTLY = 0.7


@dataclass(frozen=True)
class Mismatch:
    """A mesh about which we say something else than istiod."""

    line: str
    profile: str
    seed: int
    mesh: Json
    differences: tuple[str, ...]


@dataclass
class Campaign:
    """What came of it. `refused`: meshes that istiod does not start with; `traps`: how many meshes had which."""

    line: str
    meshes: int = 0
    refused: int = 0
    clusters: int = 0
    #: Hosts and ports of clients whose routes were compared.
    routes: int = 0
    seconds: float = 0.0
    mismatches: list[Mismatch] = field(default_factory=list)
    traps: Counter[str] = field(default_factory=Counter)


def portions(number: int) -> dict[str, int]:
    """Return profile → how many of `number` meshes are asked under it."""
    others = [name for name in PROFILES if PROFILES[name]]
    each = round(number * (1 - MOSTLY) / len(others))
    return {"default": number - each * len(others), **dict.fromkeys(others, each)}


def mesh_of(seed: int, line: str) -> Json:
    """Return the generated mesh with a number; it has the retries asked, too."""
    return {**generate(Random(seed), zone_aware=line != "1.30"), "settings": {"routes": True}}


def judge(mesh: Json, answer: Json, line: str, features: t.Mapping[str, str]) -> tuple[list[str], Plan | None]:
    """Return the differences of a mesh, and our plan; a traceback of ours is one of them."""
    try:
        plan = Plan(mesh, line, features)
        return differences(plan, answer), plan
    except Exception:
        return [f"ours: raised: {traceback.format_exc(limit=-4)}"], None


def _meshes(seeds: t.Sequence[int], line: str, asked: dict[int, Json]) -> t.Iterator[Json]:
    """Yield the meshes with these numbers, and keep each in `asked` by its index."""
    for index, seed in enumerate(seeds):
        asked[index] = mesh_of(seed, line)
        yield asked[index]


def run(
    line: str,
    seeds: t.Sequence[int],
    oracle: t.Callable[..., Oracle],
    *,
    progress: t.Callable[[Campaign], None] = lambda _campaign: None,
    most: int = 25,
) -> Campaign:
    """Ask about the meshes with these numbers. `oracle(line, **features)` gives a running oracle.

    `progress` is called after every mesh. Ends early after `most` mismatches. Raises OracleError when the oracle dies.
    """
    comparison = Campaign(line)
    begin = time.monotonic()
    first = 0
    for profile, number in portions(len(seeds)).items():
        features = PROFILES[profile]
        some = seeds[first : first + number]
        first += number
        asked: dict[int, Json] = {}

        answers = oracle(line, **features).stream(_meshes(some, line, asked))
        for index, answer in answers:
            mesh = asked.pop(index)
            comparison.meshes += 1
            comparison.seconds = time.monotonic() - begin
            if answer["error"].startswith("mesh:"):
                comparison.refused += 1
            else:
                wrong, plan = judge(mesh, answer, line, features)
                if plan is not None:
                    comparison.clusters += sum(len(client.assignment) for client in plan.clients.values())
                    comparison.routes += plan.compared_routes
                    comparison.traps.update(traps(plan))
                if wrong:
                    comparison.mismatches.append(Mismatch(line, profile, some[index], mesh, tuple(wrong)))
            progress(comparison)
            if len(comparison.mismatches) >= most:
                return comparison
    return comparison


def shrunk(mismatch: Mismatch, oracle: Oracle) -> Json:
    """Return a mesh with as little as possible in it about which we differ in the same way.

    `oracle` is closed when a mesh without some part of it kills or stops it.
    """
    wanted, features = kind(mismatch.differences[0]), PROFILES[mismatch.profile]

    def still_differs(meshes: list[Json]) -> list[bool]:
        try:
            answers = oracle.ask(meshes)
        except OracleError:
            return [still_differs([mesh])[0] for mesh in meshes] if len(meshes) > 1 else [False]
        return [
            not answer["error"].startswith(("mesh:", "input:"))
            and any(kind(difference) == wanted for difference in judge(mesh, answer, mismatch.line, features)[0])
            for mesh, answer in zip(meshes, answers, strict=True)
        ]

    return shrink(mismatch.mesh, still_differs)


def explained(mismatch: Mismatch, mesh: Json, oracle: Oracle) -> str:
    """Return a shrunk mismatch as text."""
    (answer,) = oracle.ask([mesh])
    wrong = judge(mesh, answer, mismatch.line, PROFILES[mismatch.profile])[0]
    return "\n".join(
        [
            f"Istio {mismatch.line}, {mismatch.profile}, seed {mismatch.seed}:",
            readable(mesh),
            *(text[:2000] for text in wrong),
        ]
    )


def keep(mismatch: Mismatch, mesh: Json, folder: Path) -> Path:
    """Write a shrunk mismatch as a candidate for regressions/ and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{mismatch.line}-{mismatch.profile}-{mismatch.seed}.json"
    record = {"why": "", "istio": [mismatch.line], "features": dict(PROFILES[mismatch.profile]), "mesh": mesh}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path
