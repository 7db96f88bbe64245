# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a request is tried again, and how long the pause between two tries is.

urllib3's Retry gives the pauses (exponential, with jitter) and reads Retry-After: it is there with the library
`kubernetes`, while tenacity would be one more thing for users to install. What Retry does not know is own: a deadline
instead of a number of tries, websockets, and credentials that are read again in between.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import contextlib
import time
import typing as t

# Ansible loads every module_utils file without third-party libraries; run_module says that they are missing.
with contextlib.suppress(ImportError):
    import urllib3

#: Seconds for which a request is tried again when nobody says anything else (option api_timeout).
API_TIMEOUT = 60.0
#: Of what passes, what the API server answers before it has done anything: any request may be sent again.
NOT_DONE = frozenset((429, 503))
#: The reason of a try whose answer was a proxy's page.
STRANGE = "an answer that is not the API's"
#: How often an answer that is not the API's (a proxy's page) is asked for again, and a kubelet that nobody reaches.
STRANGE_TRIES = 3
#: Credentials are refused for a moment where the API server cannot reach what checks them; more often, they are wrong.
UNAUTHORIZED_TRIES = 3


def passes(status: int) -> bool:
    """Return whether an answer passes: too many requests, and what an overloaded or restarting API server, or a proxy
    before it, answers (500 to 599, but for 501, which says that it cannot at all)."""
    return status == 429 or (status >= 500 and status != 501)


class RequestRetries:
    """The tries of one request. It begins when it is made, and ends `seconds` later."""

    def __init__(self, seconds: float) -> None:
        self._start = time.monotonic()
        self._until = self._start + max(0.0, seconds)
        self._retry = urllib3.Retry(
            total=None, backoff_factor=0.25, backoff_max=8, backoff_jitter=0.25, respect_retry_after_header=True
        )
        #: What became of each try, in order.
        self.reasons: list[str] = []

    @property
    def tries(self) -> int:
        """How many tries have failed."""
        return len(self.reasons)

    @property
    def left(self) -> float:
        """Seconds until the end, at least 0."""
        return max(0.0, self._until - time.monotonic())

    def again(self, reason: str, response: t.Any = None) -> bool:
        """Note a try that failed and whether there is time for another one; the pause before it has passed then.

        `response`: an answer of urllib3 whose header Retry-After is followed, but never beyond the end.
        """
        self.reasons.append(reason)
        self._retry = self._retry.increment("GET", "/", error=ConnectionError(reason))
        if not self.left:
            return False
        asked = self._retry.get_retry_after(response) if response is not None else None
        # The first repetition is not at once either: a server that restarts refuses for longer than that.
        pause = asked if asked is not None else max(0.1, self._retry.get_backoff_time())
        time.sleep(min(pause, self.left))
        return True

    def tries_text(self) -> str:
        """Return what happened: "for 58 s, 9 tries (answer 500, connection refused)"."""
        seconds = time.monotonic() - self._start
        number = f"{self.tries} {'try' if self.tries == 1 else 'tries'}"
        reasons = list(dict.fromkeys(self.reasons))
        others = f" ({', '.join(reasons)})" if len(reasons) > 1 else ""
        return f"for {seconds:.0f} s, {number}{others}"


def reason_of(error: BaseException) -> str:
    """Return in a few words why a connection failed: what the system says, without addresses of Python objects."""
    seen: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in seen:
        seen.append(at)
        inner = getattr(at, "reason", None)
        at = inner if isinstance(inner, BaseException) else (at.__cause__ or at.__context__)
    for each in reversed(seen):
        if isinstance(each, ConnectionRefusedError):
            return "connection refused"
        if isinstance(each, (ConnectionResetError, BrokenPipeError)):
            return "connection reset"
        if isinstance(each, TimeoutError):
            return "no answer in time"
    return next((text for text in (*error.args, str(error)) if isinstance(text, str) and text), type(error).__name__)
