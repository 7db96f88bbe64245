# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Charts as static SVG, by Vega-Lite: vl-convert is the Vega project's own, one wheel without a browser or Node.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import LocalityError

LIBRARY = "vl-convert-python"
_OPENING = re.compile(r"<svg [^>]*>")
_SIZE = re.compile(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"')

_LEFT = re.compile(r'transform="translate\(([0-9.]+),')


class LibraryMissing(LocalityError):
    """A library that draws is not installed where the report is made."""


class Drawing(t.NamedTuple):
    """A chart as an <svg> element. In its own pixels: `width`, and where its plot begins (`left`) and how wide it is."""

    svg: str
    width: float
    left: float
    plot: float


def chart_svg(specification: t.Mapping[str, t.Any]) -> Drawing:
    """Draw a Vega-Lite specification, as wide as its place on the page, at most its own size.

    It is hidden from screen readers: the page has a text and a table for it. Raises LibraryMissing.
    """
    try:
        import vl_convert  # type: ignore[import-not-found,unused-ignore]  # ships no types
    except ImportError as error:
        raise LibraryMissing(
            f"The Python library {LIBRARY} is missing, which draws the charts.",
            do=f"Run `pip install {LIBRARY}` for the Python of ansible-playbook and make the report again.",
        ) from error
    drawn = str(vl_convert.vegalite_to_svg(dict(specification)))
    width, height = _SIZE.findall(drawn)[0]
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" aria-hidden="true" focusable="false" '
        f'style="max-width:{width}px">'
    )
    svg = _OPENING.sub(opening, drawn, count=1).replace(' aria-hidden="true" d=', " d=")
    return Drawing(svg, float(width), float(_LEFT.findall(drawn)[0]), float(specification["width"]))
