# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors a user meets. Each says which object, what is wrong and what to do about it.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t


class LocalityError(Exception):
    """Anything this collection refuses or fails to do.

    `what` is one sentence that names the object and the field; `do` is one sentence that says how to go on.
    `details` are plain JSON values that end up in the module's result next to the message.
    """

    def __init__(self, what: str, *, do: str = "", **details: t.Any) -> None:
        super().__init__(what)
        self.what = what
        self.do = do
        self.details = details

    def __str__(self) -> str:
        return f"{self.what} {self.do}".strip()


class InvalidInput(LocalityError):
    """An option or a manifest is wrong; nothing was read from or written to the cluster because of it."""


class ClusterError(LocalityError):
    """The API server answered with an error, or did not answer. `status` is the HTTP status (0: no answer).

    `unheard`: a try before may have been done although its answer did not come.
    """

    def __init__(self, what: str, *, do: str = "", status: int = 0, **details: t.Any) -> None:
        super().__init__(what, do=do, status=status, **details)
        self.status = status
        self.unheard = False


class Unreachable(ClusterError):
    """No connection, TLS failure, time-out, or the server kept answering 429/5xx until the retries ended."""


class Unauthorized(ClusterError):
    """401: the credentials are wrong or have expired."""


class Forbidden(ClusterError):
    """403: the credentials lack a verb; the message names verb, resource and namespace."""


class NotFound(ClusterError):
    """404: the object or its kind does not exist."""


class Conflict(ClusterError):
    """409: somebody else changed or owns what we wanted to write."""


class Rejected(ClusterError):
    """400/422: the API server or an admission webhook refuses the object."""


class NotReady(LocalityError):
    """Something did not reach the wanted state in time; `details` say what stands in the way."""


class DrillEnded(LocalityError):
    """A drill ended without success; `details` have its outcome, its reason and the whole document."""
