# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which endpoints of a Service a drill takes away.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import difflib
import typing as t
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import places
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality

#: What a scope can name, the smallest first.
LEVELS = ("pod", "workload", "label_selector", "node", "subzone", "zone", "region")
_NEAR = 5


@dataclass(frozen=True)
class Candidate:
    """A pod behind the Service. `ready`: its EndpointSlice says so. `restarts` and `container` are of istio-proxy."""

    namespace: str
    name: str
    uid: str
    address: str
    node: str
    place: str
    workload: str
    ready: bool
    labels: t.Mapping[str, str] = field(default_factory=dict)
    restarts: int = 0
    container: str = ""

    @property
    def where(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


class Step(t.NamedTuple):
    """What is taken away at one time: as it was asked for, and the ready endpoints."""

    asked: str
    pods: tuple[Candidate, ...]


def steps(asked: t.Sequence[t.Any], candidates: t.Sequence[Candidate], cascade: bool) -> list[Step]:
    """Return what is taken away: all scopes at once, or one after the other (`cascade`).

    Each scope is a text `level place`, or a dictionary with one key of LEVELS. Raises InvalidInput when one names
    nothing that is ready, with near names, or when a later step of a cascade adds nothing.
    """
    if not asked:
        raise InvalidInput("scope is empty.", do=f"Give one or more of {', '.join(LEVELS)}: zone r1/z1.")
    single = [_step(index, scope, candidates) for index, scope in enumerate(asked)]
    if not cascade:
        together = {pod.uid: pod for step in single for pod in step.pods}
        return [Step(" + ".join(step.asked for step in single), tuple(together.values()))]
    taken: set[str] = set()
    cascade_steps = []
    for step in single:
        rest = tuple(pod for pod in step.pods if pod.uid not in taken)
        if not rest:
            raise InvalidInput(f"Step {step.asked} of the cascade takes nothing away that is not gone before it.")
        taken |= {pod.uid for pod in rest}
        cascade_steps.append(Step(step.asked, rest))
    return cascade_steps


def _step(index: int, given: t.Any, candidates: t.Sequence[Candidate]) -> Step:
    if isinstance(given, str):
        level, _blank, place = given.strip().partition(" ")
        given = {level: place.strip()}
    if not isinstance(given, t.Mapping):
        raise InvalidInput(f"scope[{index}] is {given!r}.", do="Write a level and a place: zone r1/z1.")
    named = {level: str(value) for level, value in given.items() if value}
    if len(named) != 1 or next(iter(named)) not in LEVELS:
        raise InvalidInput(
            f"scope[{index}] has the keys {', '.join(named) or '(none)'}.",
            do=f"Each scope has exactly one of {', '.join(LEVELS)}, as in zone r1/z1.",
        )
    ((level, value),) = named.items()
    text = f"{level} {value}"
    chosen = [pod for pod in candidates if _meant(level, value, pod)]
    names = sorted({_name(level, pod) for pod in candidates} - {""})
    whole = {_name(level, pod) for pod in chosen}
    if len(whole) > 1 and level in ("subzone", "zone"):
        raise InvalidInput(f"{text} is one of {', '.join(sorted(whole))}.", do="Write the whole name.")
    if not chosen:
        near = difflib.get_close_matches(value, names, n=_NEAR) or names[:_NEAR]
        raise InvalidInput(
            f"scope[{index}]: the Service has no endpoint in {text}.",
            do=f"It has: {', '.join(near)}." if near else "See its selector and its pods.",
        )
    ready = tuple(pod for pod in chosen if pod.ready)
    if not ready:
        raise InvalidInput(
            f"scope[{index}]: none of the {len(chosen)} endpoints in {text} is ready, so nothing can be lost there.",
            do="See why they are not ready (kubectl describe pod), then run again.",
        )
    if level in ("subzone", "zone", "region"):
        text = f"{level} {next(iter(whole))}"
    return Step(text, ready)


def _name(level: str, pod: Candidate) -> str:
    if level == "pod":
        return pod.name
    if level == "workload":
        return pod.workload
    if level == "node":
        return pod.node
    if level == "label_selector":
        return ",".join(f"{key}={value}" for key, value in sorted(pod.labels.items()))
    return places(Locality.parse(pod.place))[level]


def _meant(level: str, value: str, pod: Candidate) -> bool:
    if level == "label_selector":
        return all(_labelled(pod.labels, part.strip()) for part in value.split(","))
    name = _name(level, pod)
    return bool(name) and (name == value or name.endswith(f"/{value}"))


def _labelled(labels: t.Mapping[str, str], part: str) -> bool:
    key, equal, value = part.replace("==", "=", 1).partition("=")
    if not equal or not key.strip() or key.endswith("!"):
        raise InvalidInput(
            f"label_selector {part!r} is not of the form key=value.", do="Only key=value,key=value is read here."
        )
    return labels.get(key.strip()) == value.strip()
