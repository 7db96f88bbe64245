# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a forecast agree with what a traffic probe counted? A statistical test, with sentences for what is too far off.

Of each count the exact binomial distribution decides. That is safe: only the choice of the priority is drawn for each
request, while ROUND_ROBIN and LEAST_REQUEST spread more evenly than chance would.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import math
import re
import typing as t
import urllib.parse

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput

#: How likely it may be that any difference is reported although the forecast is right.
LEVEL = 0.001
#: Shares are rounded to six digits; what is closer than this to none or to all is exactly that.
_ROUNDING = 2e-6
#: The headers that a probe's requests have.
_SENT = frozenset(("accept", "user-agent", "host"))

Part = t.Mapping[str, t.Any]


def forecast_differences(
    forecast: Part, probe: Part, loss: str = "", level: float = LEVEL, requests: str | None = None
) -> list[str]:
    """Return in what a probe counted something else than forecast, one sentence each.

    `forecast` is what locality_forecast returned, and must have one row for the client of the probe and the class of
    its requests: that which `requests` names ('': the default one), None: that which takes the path of the probe's URL.
    `loss` '': the shares of now, else those that settle after this loss. `level`: the chance of any wrong alarm.
    Compared are localities, pods and failures. Raises InvalidInput when something else was given.
    """
    if not 0 < level < 1:
        raise InvalidInput(f"level is {level}; it is a probability, above 0 and below 1.")
    try:
        row = _row(forecast, probe, requests)
        state = row["now"] if not loss else _settled(row, loss)
        return list(_differences(state, probe, level))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"Cannot compare: {type(error).__name__} {error}.",
            do="Give what locality_forecast and traffic_probe returned.",
        ) from error


def _row(forecast: Part, probe: Part, requests: str | None) -> Part:
    rows: list[Part] = list(forecast["rows"]) if "rows" in forecast else [forecast]
    client = probe.get("client") or {}
    if client:
        own = [row for row in rows if row["client"]["namespace"] == client["namespace"]]
        named = [row for row in own if client["pod"] in row["client"]["pods"]]
        rows = named or [row for row in own if row["client"]["locality"] == client.get("locality", "")]
    if len(rows) > 1 or requests is not None:
        which = _class_of(rows, str(probe.get("url") or "")) if requests is None else requests
        rows = [row for row in rows if str(row.get("requests") or "") == which]
    if len(rows) != 1:
        candidates = "; ".join(f"{row['client']['locality']} → {row['cluster']}" for row in rows[:5]) or "none"
        raise InvalidInput(
            f"The forecast has {len(rows)} rows for the client of the probe, one is needed: {candidates}.",
            do="Ask locality_forecast for one service and port, and for this client.",
        )
    return rows[0]


def _class_of(rows: t.Sequence[Part], url: str) -> str:
    """Return which class of requests takes plain GET requests to a URL: the first one that does, else the default."""
    for which, matches in {str(row.get("requests") or ""): row.get("matches") for row in rows}.items():
        taken = takes(matches or (), url) if which else False
        if taken is None:
            raise InvalidInput(
                f"Whether the probe's requests are among those with {which} is not known.",
                do="Say of which class they are: requests.",
            )
        if taken:
            return which
    return ""


def takes(matches: t.Sequence[Part], url: str) -> bool | None:
    """Whether one of a class's matches, as a row of a forecast has them, takes plain GET requests to a URL.

    None: not known. A plain request has no headers but those that curl sends.
    """
    answers = [_matches(match, url) for match in matches]
    if True in answers:
        return True
    return False if answers and None not in answers else None


def _matches(match: Part, url: str) -> bool | None:
    """Whether a plain GET request to a URL has all that a match asks for; None: not known."""
    parts = urllib.parse.urlsplit(url)
    given = urllib.parse.parse_qs(parts.query)
    conditions = [
        _takes_path(match["path"], parts.path or "/"),
        # Their values are not in a forecast.
        *(None if name in given else False for name in match["query"]),
        *(
            None if name.startswith(":") or name.removeprefix("-").lower() in _SENT else name.startswith("-")
            for name in match["headers"]
        ),
        *(name.startswith("-") for name in match["claims"]),
    ]
    return False if False in conditions else None if None in conditions else True


def _takes_path(condition: Part, path: str) -> bool | None:
    how, text = condition["type"], str(condition["value"])
    if how == "exact":
        return path == text
    if how == "prefix":
        whole = path == text or path.startswith(text.rstrip("/") + "/")
        return True if whole else None if path.startswith(text) else False
    if how != "regex":
        return None
    try:
        return re.fullmatch(text, path) is not None
    except re.error:
        return None


def _settled(row: Part, loss: str) -> Part:
    names = [str(forecast["loss"]) for forecast in row["losses"]]
    for forecast in row["losses"]:
        if forecast["loss"] == loss or str(forecast["loss"]).endswith(f"/{loss.rpartition(' ')[2]}"):
            return t.cast(Part, forecast["settled"])
    raise InvalidInput(f"The forecast has no loss {loss!r}.", do=f"It has: {', '.join(names[:10]) or 'none'}.")


def _differences(state: Part, probe: Part, level: float) -> t.Iterator[str]:
    sent, failed = int(probe["sent"]), int(probe["failed_requests"])
    answered = sent - failed
    none, dead = float(state["none"]), float(state["dead"])
    tests: list[tuple[str, int, int, float, float]] = [("failed", failed, sent, none, min(1.0, none + dead))]
    # Retries move what dead endpoints got; how much of each place is left then is not in the forecast.
    for what in ("localities", "pods") if not dead else ():
        shares: t.Mapping[str, float] = state[what]
        answers: t.Mapping[str, int] = probe["by_locality" if what == "localities" else "by_pod"] or {}
        if what == "pods" and not answers:
            continue
        for name in sorted({*shares, *answers}):
            share = min(1.0, float(shares.get(name, 0.0)) / (1 - none)) if none < 1 else 0.0
            tests.append((name or "no locality", int(answers.get(name, 0)), answered, share, share))
    for name, count, total, least, most in tests:
        low = bounds(total, least, level / len(tests))[0]
        high = bounds(total, most, level / len(tests))[1]
        if not low <= count <= high:
            verb = f"failed{_why(probe)}" if name == "failed" else f"were answered by {name}"
            yield (
                f"{count} of {total} requests {verb}; {100 * most:.1f} % were forecast, which is {low} to {high} at a "
                f"level of {level:g}."
            )


def _why(probe: Part) -> str:
    """Return why a probe's requests failed, in parentheses; '' where it does not say."""
    reasons: t.Mapping[str, int] = probe.get("failure_reasons") or {}
    return f" ({', '.join(f'{count} × {reason}' for reason, count in reasons.items())})" if reasons else ""


def bounds(total: int, share: float, level: float) -> tuple[int, int]:
    """Return from and to which count a binomial number is not too far off: each tail has half of `level` at most."""
    if share < _ROUNDING:
        return 0, 0
    if share > 1 - _ROUNDING:
        return total, total
    log_share, log_rest = math.log(share), math.log1p(-share)
    whole = math.lgamma(total + 1)
    chances = [
        math.exp(
            whole
            - math.lgamma(count + 1)
            - math.lgamma(total - count + 1)
            + count * log_share
            + (total - count) * log_rest
        )
        for count in range(total + 1)
    ]
    return _tail(chances, level / 2), total - _tail(chances[::-1], level / 2)


def _tail(chances: t.Sequence[float], level: float) -> int:
    """Return the first count that is not in the tail."""
    total = 0.0
    for count, chance in enumerate(chances):
        total += chance
        if total > level:
            return count
    return len(chances) - 1
