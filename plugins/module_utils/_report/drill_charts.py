# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The charts of a drill as Vega-Lite specifications: requests by place over time, and one line for each client.

Colours are CSS variables (--p0 …, --failed, --ink …): the page gives them values for light, dark and print.
Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import math
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._report.drill_timeline import Timeline

Json = dict[str, t.Any]

#: Distinct colours of places; what is beyond them is grey, together.
COLOURS = 7
OTHERS = "other places"
#: Steps of the time axis, in seconds.
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)
_FONT = "system-ui, sans-serif"
_MINUTES = (
    "(datum.value < 0 ? '−' : '') + floor(abs(datum.value) / 60) + ':' + "
    "pad(round(abs(datum.value)) % 60, 2, '0', 'left')"
)


class Band(t.NamedTuple):
    """A stretch of time with a name, in seconds since the drill's start. `fault`: the fault was there."""

    name: str
    begin: float
    end: float
    fault: bool = False


class Mark(t.NamedTuple):
    """An event with its number in the list below the chart, in seconds since the drill's start."""

    number: int
    t: float


def colours(places: t.Sequence[str]) -> dict[str, str]:
    """Return the colour of each place, in the order given; those beyond the palette share one."""
    return {place: f"var(--p{index})" if index < COLOURS else "var(--others)" for index, place in enumerate(places)}


def requests_chart(
    traffic: Timeline,
    places: t.Sequence[str],
    bands: t.Sequence[Band],
    marks: t.Sequence[Mark],
    *,
    zero: float,
    width: int,
) -> Json:
    """Return the stacked areas of answered requests by place, failed ones in front of them, bands and numbered marks.

    `places` in the order of their colours; `zero` is the second that the axis calls 0:00; `width` in pixels.
    """
    shown = list(places[:COLOURS])
    step = max(1, math.ceil((traffic.last - traffic.first + 1) / 400))
    domain = [*shown, *([OTHERS] if len(places) > COLOURS else [])]
    sums = bucketed(traffic, places, step)
    answered: list[Json] = []
    for second, by_place, _failed in [*sums, (sums[-1][0] + step, sums[-1][1], 0.0)]:
        below = 0.0
        for name in domain:
            above = below + by_place.get(name, 0.0)
            answered.append({"t": second - zero, "place": name, "from": round(below, 2), "to": round(above, 2)})
            below = above
    failing = [
        {"t": second - zero, "end": second + step - zero, "rate": round(failed, 3)}
        for second, _by, failed in sums
        if failed
    ]
    begin, end = traffic.first - zero, traffic.last + step - zero
    top = max([sum(by_place.values()) for _s, by_place, _f in sums] + [failed for _s, _b, failed in sums] + [1.0])
    high = 1.14 * top
    palette = colours(places)
    x = {"field": "t", "type": "quantitative", "scale": {"domain": [begin, end], "nice": False, "zero": False}}
    axis = {
        "values": ticks(begin, end, width),
        "labelExpr": _MINUTES,
        "title": "minutes since the fault" if zero else "minutes",
    }
    y_scale = {"domain": [0, high], "nice": False}
    layers: list[Json] = []
    spans = [
        {"t": max(begin, band.begin - zero), "end": min(end, band.end - zero), "fault": band.fault, "name": band.name}
        for band in bands
        if band.end - zero > begin and band.begin - zero < end
    ]
    if spans:
        layers.append(
            {
                "data": {"values": spans},
                "mark": {"type": "rect"},
                "encoding": {
                    "x": {**x, "axis": axis},
                    "x2": {"field": "end"},
                    "color": {
                        "field": "fault",
                        "type": "nominal",
                        "legend": None,
                        "scale": {"domain": [False, True], "range": ["var(--band)", "var(--band-fault)"]},
                    },
                },
            }
        )
    layers.append(
        {
            "data": {"values": answered},
            # Steps instead of slopes: the count of a second is no point.
            "mark": {"type": "area", "interpolate": "step-after", "stroke": "var(--page)", "strokeWidth": 0.6},
            "encoding": {
                "x": {**x, "axis": axis},
                "y": {
                    "field": "from",
                    "type": "quantitative",
                    "stack": None,
                    "scale": y_scale,
                    "axis": {"title": "requests per second", "tickCount": 4},
                },
                "y2": {"field": "to"},
                "color": {
                    "field": "place",
                    "type": "nominal",
                    "legend": None,
                    "sort": domain,
                    "scale": {"domain": domain, "range": [palette.get(name, "var(--others)") for name in domain]},
                },
            },
        }
    )
    layers += _names(spans, x, begin, end, width)
    layers += _marks([Mark(mark.number, mark.t - zero) for mark in marks], x, high, begin, end, width)
    if failing:  # the last layer, so that nothing stands before it
        layers.append(_failures(failing, x, y_scale, min_width=3.5))
    return {**_base(width, 250), "layer": layers, "resolve": {"scale": {"color": "independent"}}}


def client_chart(
    seconds: t.Mapping[int, t.Sequence[int]], first: int, last: int, *, zero: float, highest: float
) -> Json:
    """Return one client's requests per second as a line, failed ones in front; `highest` is the top of the scale."""
    width = 300
    step = max(1, math.ceil((last - first + 1) / 150))
    line: list[Json] = []
    failing: list[Json] = []
    for at_second in range(first, last + 1, step):
        some = [seconds.get(second, (0, 0)) for second in range(at_second, min(at_second + step, last + 1))]
        sent, failed = (sum(pair[at] for pair in some) / len(some) for at in (0, 1))
        line.append({"t": at_second - zero, "rate": round(sent, 3)})
        if failed:
            failing.append({"t": at_second - zero, "end": at_second + step - zero, "rate": round(failed, 3)})
    begin, end = first - zero, last + step - zero
    x = {"field": "t", "type": "quantitative", "scale": {"domain": [begin, end], "nice": False, "zero": False}}
    scale = {"domain": [0, highest * 1.1], "nice": False}
    axis = {"values": ticks(begin, end, width), "labelExpr": _MINUTES, "title": None}
    layers: list[Json] = [
        {
            "data": {"values": line},
            "mark": {"type": "line", "interpolate": "step-after", "color": "var(--ink-2)", "strokeWidth": 1.25},
            "encoding": {
                "x": {**x, "axis": axis},
                "y": {"field": "rate", "type": "quantitative", "scale": scale, "axis": {"title": None, "tickCount": 2}},
            },
        }
    ]
    if failing:
        layers.append(_failures(failing, x, scale, min_width=2))
    if begin < 0 < end:
        layers.append(
            {
                "data": {"values": [{"t": 0}]},
                "mark": {"type": "rule", "color": "var(--ink)", "strokeDash": [2, 3]},
                "encoding": {"x": x},
            }
        )
    return {**_base(width, 56), "layer": layers}


def bucketed(traffic: Timeline, places: t.Sequence[str], step: int) -> list[tuple[int, dict[str, float], float]]:
    """Return (first second, answered per second by place, failed per second) for each `step` seconds.

    Places beyond the palette are summed up under OTHERS.
    """
    names = {place: place if index < COLOURS else OTHERS for index, place in enumerate(places)}
    rows = []
    for begin in range(traffic.first, traffic.last + 1, step):
        span = range(begin, min(begin + step, traffic.last + 1))
        by_place: dict[str, float] = {}
        for place, by_second in traffic.answered.items():
            number = sum(by_second.get(second, 0) for second in span)
            if number:
                name = names[place]
                by_place[name] = by_place.get(name, 0.0) + number / len(span)
        rows.append((begin, by_place, sum(traffic.failed.get(second, 0) for second in span) / len(span)))
    return rows


def ticks(begin: float, end: float, width: int) -> list[int]:
    """Return round seconds for an axis, far enough apart for its labels at this width in pixels."""
    most = max(2, width // 70)
    step = next((step for step in _STEPS if (end - begin) / step <= most), _STEPS[-1])
    return list(range(math.ceil(begin / step) * step, math.floor(end) + 1, step))


def _failures(failing: list[Json], x: Json, scale: Json, *, min_width: float) -> Json:
    return {
        "data": {"values": failing},
        "mark": {"type": "rect", "color": "var(--failed)", "stroke": "var(--failed)", "strokeWidth": min_width},
        "encoding": {
            "x": x,
            "x2": {"field": "end"},
            "y": {"field": "rate", "type": "quantitative", "scale": scale},
            "y2": {"datum": 0},
        },
    }


def _names(spans: t.Sequence[Json], x: Json, begin: float, end: float, width: int) -> list[Json]:
    """Return the layer with the names of bands that are wide enough for them."""
    pixel = width / max(end - begin, 1e-9)
    named = [
        {"t": (span["t"] + span["end"]) / 2, "name": span["name"]}
        for span in spans
        if (span["end"] - span["t"]) * pixel > 8 * len(span["name"])
    ]
    if not named:
        return []
    mark = {"type": "text", "color": "var(--ink)", "fontSize": 12, "baseline": "top"}
    return [
        {"data": {"values": named}, "mark": mark, "encoding": {"x": x, "y": {"value": 5}, "text": {"field": "name"}}},
    ]


def _marks(marks: t.Sequence[Mark], x: Json, high: float, begin: float, end: float, width: int) -> list[Json]:
    """Return the layers of numbered marks; numbers that would lie over each other stand in rows above the chart."""
    rows: list[float] = []
    placed: list[Json] = []
    for drawn_mark in sorted(marks, key=lambda mark: (mark.t, mark.number)):
        if not begin <= drawn_mark.t <= end:
            continue
        at = (drawn_mark.t - begin) / max(end - begin, 1e-9) * width
        row = next((index for index, taken in enumerate(rows) if at - taken >= 18), len(rows))
        rows[row : row + 1] = [at]
        placed.append({"t": round(drawn_mark.t, 3), "number": str(drawn_mark.number), "row": row})
    if not placed:
        return []
    data = {"values": placed}
    layers: list[Json] = [
        {
            "data": data,
            "mark": {"type": "rule", "color": "var(--ink)", "strokeWidth": 1, "strokeDash": [3, 2], "opacity": 0.75},
            "encoding": {"x": x},
        }
    ]
    for row in range(len(rows)):
        own = {"values": [label for label in placed if label["row"] == row]}
        above = {"x": x, "y": {"value": -11 - 19 * row}}
        layers += [
            {
                "data": own,
                "mark": {
                    "type": "point",
                    "shape": "circle",
                    "filled": True,
                    "size": 250,
                    "opacity": 1,
                    "color": "var(--ink)",
                },
                "encoding": above,
            },
            {
                "data": own,
                "mark": {"type": "text", "color": "var(--page)", "fontSize": 11, "fontWeight": "bold", "dy": 0.5},
                "encoding": {**above, "text": {"field": "number"}},
            },
        ]
    return layers


def _base(width: int, height: int) -> Json:
    """Return what all charts share: sizes, fonts and colours by CSS, no ARIA of marks (the page has a text instead)."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": width,
        "height": height,
        "autosize": {"type": "pad"},
        "padding": 2,
        "config": {
            "aria": False,
            "background": None,
            "font": _FONT,
            "view": {"stroke": None},
            "axis": {
                "labelColor": "var(--ink-2)",
                "titleColor": "var(--ink-2)",
                "titleFontWeight": "normal",
                "labelFontSize": 12,
                "titleFontSize": 12,
                "domainColor": "var(--line)",
                "tickColor": "var(--line)",
                "gridColor": "var(--line)",
                "gridOpacity": 0.5,
            },
            "axisX": {"grid": False},
        },
    }
