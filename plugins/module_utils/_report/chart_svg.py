# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drawn chart as it stands in a page.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t

#: Draws Vega-Lite specifications: one <svg> text for each.
Draw = t.Callable[[t.Sequence[t.Mapping[str, t.Any]]], list[str]]

_SIZE = re.compile(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"')
_LEFT = re.compile(r'transform="translate\(([0-9.]+),')
#: Attributes for screen readers, which read the page's text and table instead.
_ARIA = re.compile(r' (?:aria-[a-z]+|role)="[^"]*"')


class Drawing(t.NamedTuple):
    """A chart as an <svg> element. In its own pixels: `width`, where its plot begins (`left`), how wide it is."""

    svg: str
    width: float
    left: float
    plot: float


def drawing(svg: str, plot: float) -> Drawing:
    """Return Vega's SVG as wide as its place on the page, at most its own size, and hidden from screen readers."""
    width, height = _SIZE.findall(svg)[0]
    opening = f'<svg viewBox="0 0 {width} {height}" aria-hidden="true" focusable="false" style="max-width:{width}px">'
    left = float(_LEFT.findall(svg)[0])
    body = _ARIA.sub("", svg[svg.index(">") + 1 :])
    return Drawing(opening + body, float(width), left, plot)
