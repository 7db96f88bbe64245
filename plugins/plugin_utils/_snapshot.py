# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the filters that take a snapshot have in common.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import json
import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput, LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._model import snapshot_json
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Snapshot
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent import plain

Answer = t.TypeVar("Answer")


def read_snapshot(value: t.Any) -> Snapshot:
    """Read the snapshot of topology_info, its whole result, or the text of the file it saved.

    The text is the fastest for a large mesh: Ansible looks at every single value of a variable. Raises InvalidInput.
    """
    if isinstance(value, (str, bytes)):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise InvalidInput(
                f"Not a snapshot: the text is no JSON ({error}).",
                do="Give topology_info's snapshot, or the content of the file it saved: lookup('file', 'mesh.json').",
            ) from error
    else:
        value = plain(value)
    if isinstance(value, t.Mapping) and "schema" not in value and "snapshot" in value:
        value = value["snapshot"]
    return snapshot_json.read(value)


def answered(name: str, ask: t.Callable[[], Answer]) -> Answer:
    """Return what `ask` returns; a LocalityError becomes an AnsibleFilterError with the filter's name."""
    try:
        return ask()
    except LocalityError as error:
        raise AnsibleFilterError(f"{name}: {error}") from error


def texts(option: str, value: t.Any) -> tuple[str, ...]:
    """Read an option that is a text or a list of texts; None and '' are none. Raises InvalidInput."""
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return (str(value),)
    if isinstance(value, (list, tuple)) and all(isinstance(one, (str, int)) for one in value):
        return tuple(str(one) for one in value)
    raise InvalidInput(f"{option} must be a text or a list of texts, not {_short(value)}.")


def text(option: str, value: t.Any) -> str:
    """Read an option that is a text; None is ''. A number (`1.30` without quotes) is refused. Raises InvalidInput."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidInput(f"{option} must be a text, not {_short(value)}.", do="Put it into quotes.")
    return str(value)


def number(option: str, value: t.Any, least: float = 0.0) -> float:
    """Read an option that is a number, also as a text, not below `least`. Raises InvalidInput."""
    try:
        read = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        read = float("nan")
    if not least <= read < float("inf"):
        raise InvalidInput(f"{option} must be a number from {least:g} on, not {_short(value)}.")
    return read


def flag(option: str, value: t.Any) -> bool:
    """Read an option that is true or false, also as the text that Ansible makes of it. Raises InvalidInput."""
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, str) and value.lower() in ("true", "yes", "false", "no"):
        return value.lower() in ("true", "yes")
    raise InvalidInput(f"{option} must be true or false, not {_short(value)}.")


def _short(value: t.Any) -> str:
    shown = repr(plain(value))
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
