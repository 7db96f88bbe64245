# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Vega-Lite specifications drawn as static SVG by vl-convert, the Vega project's own library: no browser, no Node.

It draws in a process of its own: a JavaScript engine that lacks memory ends its process, and that may not be a drill's.
Private to this collection: it may change at any time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import LocalityError

LIBRARY = "vl-convert-python"
#: Seconds that all charts of a page may take; they take two on a busy machine.
LIMIT = 120
_DRAW = """
import json, sys
try:
    import vl_convert
except ImportError:
    sys.exit(3)
json.dump([vl_convert.vegalite_to_svg(chart) for chart in json.load(sys.stdin)], sys.stdout)
"""
_MISSING = 3


class NotDrawn(LocalityError):
    """The charts could not be drawn: the library is missing, or failed."""


def vega_svg(specifications: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """Return an <svg> text for each Vega-Lite specification. Raises NotDrawn."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _DRAW],
            input=json.dumps(specifications),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotDrawn(f"The charts could not be drawn: {error}.", do="Make the report again.") from error
    if done.returncode == _MISSING:
        raise NotDrawn(
            f"The Python library {LIBRARY} is missing, which draws the charts.",
            do=f"Run `{sys.executable} -m pip install {LIBRARY}` and make the report again.",
        )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise NotDrawn(
            f"{LIBRARY} ended with {done.returncode} instead of drawing the charts: {said[:200]}.",
            do="Make the report again where more memory is free.",
        )
    drawn: list[str] = json.loads(done.stdout)
    return drawn
