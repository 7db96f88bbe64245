# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a drill may begin. Each rule is one function that says what is in the way and what would have to change.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._drill.phases import CAPACITY_CHECK_FAILED, REFUSED
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput

#: The label of a Namespace that consents to drills, and the value it needs.
CONSENT_LABEL = "meshops.locality/drills"
CONSENT = "allowed"
#: The value that asks for the approval of a second person when a fault does not end by itself.
CONSENT_WITH_APPROVAL = "with-approval"
CONSENTS = (CONSENT, CONSENT_WITH_APPROVAL)
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOUR, _DATE = re.compile(r"([01]\d|2[0-3]):[0-5]\d"), re.compile(r"\d{4}-\d\d-\d\d")
_FORMS = {"from": _HOUR, "to": _HOUR, "first": _DATE, "last": _DATE}
#: What a person may decide to accept. Everything else has to change.
ACCEPTABLE = ("lint", "error_budget", "capacity", "prediction")


class Result(t.NamedTuple):
    """One rule that was looked at. `accepted`: it did not pass, and somebody said that this is all right."""

    rule: str
    passed: bool
    what: str
    do: str = ""
    accepted: bool = False

    def as_dict(self) -> dict[str, t.Any]:
        """Return it as plain values."""
        return self._asdict()


class Time(t.NamedTuple):
    """A moment in UTC: one of DAYS, `2026-11-26` and `16:40`."""

    day: str
    date: str
    time: str

    def __str__(self) -> str:
        return f"{self.day} {self.date} {self.time} UTC"


class GatedEndpoint(t.NamedTuple):
    """A ready endpoint of the Service, as the gate sees it."""

    uid: str
    place: str


@dataclass(frozen=True)
class Facts:
    """Everything that the rules look at.

    `predicted_failed` and `predicted_seconds` of all clients together (None: never ends); `prediction_error` says why
    there is no prediction. `windows` as in `blocked_window`. `lint_errors`: sentences. `overload`: a sentence or ''.
    `approval_problem`: why the approval that the
    namespace asks for is none ('': it is one, or none is asked for); `approve`: how to approve.
    `open_journals`: ids of other drills with something to restore. `stop`: what the stop switch says, '' when off.
    """

    now: Time
    namespace: str
    service: str
    endpoints: t.Sequence[GatedEndpoint]
    targets: frozenset[str]
    consent: bool
    max_pods: int
    max_places: int
    windows: t.Sequence[t.Mapping[str, t.Any]] = ()
    stop: str = ""
    open_journals: t.Sequence[str] = ()
    unreadable_journals: str = ""
    lint_errors: t.Sequence[str] = ()
    predicted_failed: float | None = 0.0
    requests: float = 0.0
    error_budget: float = 0.0
    prediction_error: str = ""
    overload: str = ""
    unhealthy: t.Sequence[str] = ()
    irreversible: t.Sequence[str] = ()
    accept_manual_restore: bool = False
    approval_problem: str = ""
    approve: str = ""
    accept: frozenset[str] = field(default_factory=frozenset)


def judge(facts: Facts) -> list[Result]:
    """Return what every rule says, the gravest first."""
    results = [rule(facts) for rule in RULES]
    return [result._replace(accepted=not result.passed and result.rule in facts.accept) for result in results]


def refusal(results: t.Iterable[Result]) -> tuple[str, str] | None:
    """Return (outcome, reason) when the drill may not begin; None when it may."""
    against = [result for result in results if not result.passed and not result.accepted]
    if not against:
        return None
    only_capacity = all(result.rule == "capacity" for result in against)
    return CAPACITY_CHECK_FAILED if only_capacity else REFUSED, " ".join(
        f"{result.what} {result.do}".strip() for result in against
    )


def stop_switch(facts: Facts) -> Result:
    """A person's stop beats everything."""
    return Result(
        "stop_switch",
        not facts.stop,
        f"Drills are stopped: {facts.stop}." if facts.stop else "Nobody stopped drills.",
        "Ask who stopped them; failover_restore with stop: '' lets them run again." if facts.stop else "",
    )


def consent(facts: Facts) -> Result:
    """Nobody's namespace is drilled without the owner's word."""
    return Result(
        "consent",
        facts.consent,
        f"Namespace {facts.namespace} {'allows drills' if facts.consent else 'does not allow drills'}.",
        ""
        if facts.consent
        else f"Its owner allows them with: kubectl label namespace {facts.namespace} {CONSENT_LABEL}={CONSENT}",
    )


def last_place(facts: Facts) -> Result:
    """Something has to be left that answers."""
    left = [endpoint for endpoint in facts.endpoints if endpoint.uid not in facts.targets]
    places = {candidate.place for candidate in left}
    return Result(
        "last_place",
        bool(left),
        f"{len(left)} of {len(facts.endpoints)} ready endpoints of {facts.service} are left, in {len(places)} place(s)."
        if left
        else f"The scope has every ready endpoint of {facts.service}: nothing would be left that answers.",
        "" if left else "Choose a smaller scope, or give the Service endpoints elsewhere.",
    )


def limits(facts: Facts) -> Result:
    """A slip of the pen must not take the whole mesh."""
    pods = len(facts.targets)
    places = {endpoint.place for endpoint in facts.endpoints if endpoint.uid in facts.targets}
    fits = pods <= facts.max_pods and len(places) <= facts.max_places
    return Result(
        "limits",
        fits,
        f"The scope has {pods} pod(s) in {len(places)} place(s); max_pods is {facts.max_pods}, max_places "
        f"{facts.max_places}.",
        "" if fits else "Choose a smaller scope, or raise the limit that is too low.",
    )


def window(facts: Facts) -> Result:
    """Not on a day on which nobody wants to be woken up."""
    blocked = next((given for given in facts.windows if blocked_window(given, facts.now)), None)
    text = str(facts.now)
    return Result(
        "blocked_windows",
        blocked is None,
        f"{text} is in no blocked window."
        if blocked is None
        else f"{text} is in the blocked window {_settings_text(blocked)}.",
        "" if blocked is None else "Run it at another time, or change blocked_windows.",
    )


def open_journals(facts: Facts) -> Result:
    """What another drill left broken would be taken for the steady state."""
    drills = ", ".join(facts.open_journals)
    what = f"Other drills are not restored: {drills}." if drills else "No other drill has anything to restore."
    do = "Run the playbook meshops.locality.restore first." if drills else ""
    if not drills and facts.unreadable_journals:
        what = f"In the namespaces that may be read no other drill has anything to restore. {facts.unreadable_journals}"
    return Result("open_journals", not drills, what, do)


def steady_state(facts: Facts) -> Result:
    """A Service that fails already proves nothing."""
    reasons = " ".join(facts.unhealthy)
    return Result(
        "steady_state",
        not reasons,
        reasons or "Every client gets answers, and its Envoy holds every endpoint as healthy.",
        "Find out why, and drill when it is well." if reasons else "",
    )


def manual_restore(facts: Facts) -> Result:
    """A fault that cannot end by itself needs somebody who knows."""
    reasons = " ".join(facts.irreversible)
    passed = not reasons or facts.accept_manual_restore
    return Result(
        "dead_mans_switch",
        passed,
        reasons or "The fault ends by itself when the drill, the API server and the network are gone.",
        "" if passed else "Say accept_manual_restore: true when somebody will run meshops.locality.restore if need be.",
    )


def approval(facts: Facts) -> Result:
    """What only a hand can end, two people should want, where the namespace's owner says so."""
    missing = facts.approval_problem if facts.irreversible else ""
    return Result(
        "approval",
        not missing,
        missing or "No approval of a second person is missing.",
        facts.approve if missing else "",
    )


def lint(facts: Facts) -> Result:
    """Known errors are cheaper to mend than to drill."""
    count = len(facts.lint_errors)
    return Result(
        "lint",
        not count,
        f"The lint has {count} error(s) for {facts.service}: {' '.join(facts.lint_errors[:3])}"
        if count
        else f"The lint has no error for {facts.service}.",
        "Mend them, or say accept: [lint]." if count else "",
    )


def prediction(facts: Facts) -> Result:
    """What cannot be predicted is not known to be harmless."""
    return Result(
        "prediction",
        not facts.prediction_error,
        facts.prediction_error or "The loss can be predicted.",
        "Or say accept: [prediction]." if facts.prediction_error else "",
    )


def error_budget(facts: Facts) -> Result:
    """The prediction must fit into what may be lost."""
    allowed = facts.error_budget * facts.requests
    expected = facts.predicted_failed
    fits = expected is not None and expected <= allowed
    predicted = "every request to the lost endpoints, without an end," if expected is None else f"{expected:.0f}"
    return Result(
        "error_budget",
        fits,
        f"Of {facts.requests:.0f} requests {predicted} are predicted to fail; the error budget allows {allowed:.0f}.",
        "" if fits else "Mend what the prediction names, raise error_budget, or say accept: [error_budget].",
    )


def capacity(facts: Facts) -> Result:
    """The survivors must carry what is left."""
    return Result(
        "capacity",
        not facts.overload,
        facts.overload or "The survivors can carry the load.",
        "Add replicas there, or say accept: [capacity]." if facts.overload else "",
    )


RULES: tuple[t.Callable[[Facts], Result], ...] = (
    stop_switch,
    open_journals,
    consent,
    last_place,
    limits,
    window,
    steady_state,
    manual_restore,
    approval,
    lint,
    prediction,
    error_budget,
    capacity,
)


def blocked_window(given: t.Mapping[str, t.Any], now: Time) -> bool:
    """Whether a time is in a window {days: [Mon, …], from: "08:00", to: "18:00", first: "2026-12-20", last: …}.

    All in UTC; `to` and `last` are still in it. What is left out does not restrict; `to` before `from` means over
    midnight. Raises InvalidInput for anything else.
    """
    days = [str(day) for day in given.get("days") or DAYS]
    wrong = [*sorted(set(given) - set(_FORMS) - {"days"}), *(day for day in days if day not in DAYS)]
    wrong += [
        f"{key} {given[key]}" for key, form in _FORMS.items() if given.get(key) and not form.fullmatch(str(given[key]))
    ]
    if wrong:
        raise InvalidInput(
            f"blocked_windows: {', '.join(wrong)} in {_settings_text(given)} is not known.",
            do=f'Give days ({", ".join(DAYS)}), from and to ("08:00", UTC), first and last ("2026-12-24").',
        )
    start, end = str(given.get("from") or "00:00"), str(given.get("to") or "23:59")
    first, last = str(given.get("first") or ""), str(given.get("last") or "9999")
    if not first <= now.date <= last or now.day not in days:
        return False
    return start <= now.time <= end if start <= end else now.time >= start or now.time <= end


def _settings_text(given: t.Mapping[str, t.Any]) -> str:
    return ", ".join(f"{key} {' '.join(value) if isinstance(value, list) else value}" for key, value in given.items())
