# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was seen of the requests: per second, before, during and after the fault, and how long the shift took.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict

from ansible_collections.meshops.locality.plugins.module_utils._envoy.probe_statistics import outcome, percentile

Json = dict[str, t.Any]

COLUMNS = ("second", "client", "place", "code", "flag", "requests", "failed", "p50_ms", "max_ms")
#: So long nobody may fail or be answered by a lost endpoint until the traffic is taken for shifted.
QUIET_SECONDS = 3.0


class Sample(t.NamedTuple):
    """One request. `t` is when it was sent (seconds since the drill began), `seconds` how long it took.

    `client` is an index. `code` 0: no answer, then `curl` is curl's exit code. `pod` (namespace/name) and `place` are
    who answered, '' when not known; `flag` is Envoy's response flag. `of_user`: not ours, so that a 4xx may be right.
    """

    client: int
    t: float
    seconds: float
    code: int
    curl: int = 0
    pod: str = ""
    place: str = ""
    flag: str = ""
    of_user: bool = False

    @property
    def ok(self) -> bool:
        """A complete answer with a 2xx or 3xx status; a user's own mistakes (4xx) are none of the Service."""
        return self.curl == 0 and 200 <= self.code < (500 if self.of_user else 400)

    @property
    def outcome(self) -> str:
        """The HTTP status, or `curl 28` when there was no complete answer."""
        return outcome(self.code, self.curl)


class Moments(t.NamedTuple):
    """When the fault was sent, when its undoing began, when everything was back, and when every Envoy had answered to
    the fault; None: it did not happen, or no Envoy is asked.
    """

    injected: float | None = None
    undone: float | None = None
    restored: float | None = None
    answered: float | None = None


def rows(samples: t.Iterable[Sample]) -> list[list[t.Any]]:
    """Return the samples counted per second, client, place, code and flag, in the order of COLUMNS."""
    groups: dict[tuple[t.Any, ...], list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[int(sample.t), sample.client, sample.place, sample.outcome, sample.flag].append(sample)
    table = []
    for key, group in sorted(groups.items()):
        took = sorted(1000 * sample.seconds for sample in group)
        failed = sum(not sample.ok for sample in group)
        table.append([*key, len(group), failed, round(percentile(took, 50), 1), round(took[-1], 1)])
    return table


def period(sample: Sample, moments: Moments) -> str:
    """Return `before`, `during` or `after` of a sample, by when it was sent."""
    if moments.injected is None or sample.t < moments.injected:
        return "before"
    return "during" if moments.undone is None or sample.t < moments.undone else "after"


def shifted(samples: t.Sequence[Sample], moments: Moments, lost: t.Collection[str]) -> float | None:
    """Return when the traffic was elsewhere: nobody failed or was answered by a lost pod for QUIET_SECONDS from then.

    None when that did not happen before the undoing, or when too little was sent to know.
    """
    if moments.injected is None:
        return None
    during = sorted((sample for sample in samples if period(sample, moments) == "during"), key=lambda sample: sample.t)
    if not during:
        return None
    end = moments.undone if moments.undone is not None else during[-1].t
    quiet = moments.injected
    for sample in during:
        if sample.t >= quiet + QUIET_SECONDS:
            return quiet
        if not sample.ok or sample.pod in lost:
            quiet = sample.t + sample.seconds
    return quiet if end >= quiet + QUIET_SECONDS and any(sample.t >= quiet for sample in during) else None


def failed_back(samples: t.Iterable[Sample], moments: Moments, lost: t.Collection[str]) -> float | None:
    """Return when every lost pod that had answered before has answered again; None when that was not seen."""
    if moments.undone is None:
        return None
    before = {sample.pod for sample in samples if sample.ok and period(sample, moments) == "before"} & set(lost)
    again: dict[str, float] = {}
    for sample in samples:
        if sample.ok and sample.pod in before and period(sample, moments) == "after":
            again[sample.pod] = min(again.get(sample.pod, sample.t), sample.t)
    return max(again.values()) if before and set(again) == before else None


def measured(samples: t.Sequence[Sample], moments: Moments, lost: t.Collection[str]) -> Json:
    """Return the numbers of the drill document's `measured` that come from requests."""
    failed = [sample for sample in samples if not sample.ok]
    injected = moments.injected
    after_fault = [sample for sample in samples if injected is not None and sample.t >= injected]
    elsewhere = [
        sample.t + sample.seconds for sample in after_fault if sample.ok and sample.pod and sample.pod not in lost
    ]
    errors = [sample.t + sample.seconds for sample in after_fault if not sample.ok]
    moved = shifted(samples, moments, lost)
    parts: dict[str, list[Sample]] = {name: [] for name in ("before", "during", "after")}
    for sample in samples:
        parts[period(sample, moments)].append(sample)
    return {
        "requests": len(samples),
        "failed": len(failed),
        "failed_ratio": round(len(failed) / len(samples), 6) if samples else None,
        "requests_during": len(parts["during"]),
        "by_code": _counted(sample.outcome for sample in samples),
        "by_flag": _counted(sample.flag for sample in samples if sample.flag),
        "failed_by_place": _counted(sample.place or "unknown" for sample in failed),
        "failed_by_client": {
            str(key): count for key, count in sorted(Counter(sample.client for sample in failed).items())
        },
        "latency_ms": {name: _latency(part) for name, part in parts.items()},
        "by_place": {
            name: _counted(sample.place or "unknown" for sample in part if sample.ok) for name, part in parts.items()
        },
        "first_error_t": rounded(min(errors, default=None)),
        "first_success_elsewhere_t": rounded(min(elsewhere, default=None)),
        "all_shifted_t": rounded(moved),
        "restored_t": rounded(moments.restored),
        "failed_back_t": rounded(failed_back(samples, moments, lost)),
        "time_to_shift": _took(injected, moved),
        "time_to_inject": _took(injected, moments.answered),
        "time_to_restore": _took(moments.undone, moments.restored),
    }


def _took(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else rounded(end - begin)


def _latency(part: t.Sequence[Sample]) -> dict[str, float | None]:
    took = sorted(1000 * sample.seconds for sample in part if sample.ok)
    return {f"p{percent}": round(percentile(took, percent), 1) if took else None for percent in (50, 99)}


def _counted(values: t.Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items(), key=lambda entry: (-entry[1], entry[0])))


def rounded(value: float | None) -> float | None:
    """Return a value with three decimals; None stays None."""
    return None if value is None else round(value, 3)
