# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sentences about each thing that a result does not judge.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._model.name_lists import first_names


def not_judged_text(entry: t.Mapping[str, t.Any]) -> str:
    """Return what is not judged and what is not known because of it, of an entry {code, what, hides, count}."""
    return f"{entry['what']} Hidden: {entry['hides']}."


def not_judged_line(entry: t.Mapping[str, t.Any]) -> str:
    """Return the line of an entry above a table."""
    return f"not judged: {not_judged_text(entry)}"


def not_predicted_text(entry: t.Mapping[str, t.Any]) -> str:
    """Return why requests are not predicted, of an entry of `skipped`, and with which losses all of them fail."""
    losses = entry.get("dies_with")
    dies = f" Without any of its pods all requests fail for good: {first_names(losses, 6)}." if losses else ""
    return f"{entry['text']}.{dies}"
