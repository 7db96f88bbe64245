# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripts of the pages. Everything is readable without them: they add the reader's own time, copy buttons, the
numbers of a second under the pointer, and search.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

#: For every page: times in the reader's zone beside UTC, and a button at each block that somebody wants to copy.
COMMON = """
"use strict";
for (const time of document.querySelectorAll("time[datetime]")) {
  const local = new Date(time.dateTime);
  if (!isNaN(local)) time.after(" (" + local.toLocaleString(undefined, {timeZoneName: "short"}) + ")");
}
for (const block of document.querySelectorAll(".copy")) {
  if (!navigator.clipboard) break;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", () => navigator.clipboard.writeText(block.querySelector("pre").textContent)
    .then(() => { button.textContent = "Copied"; setTimeout(() => { button.textContent = "Copy"; }, 2000); }));
  block.append(button);
}
"""

#: The drill's timeline: pointer and arrow keys choose a second. Numbers are in #seconds (JSON), rows by second.
TIMELINE = """
{
  const data = JSON.parse(document.getElementById("seconds")?.textContent || "null");
  for (const chart of data ? document.querySelectorAll(".chart[data-left]") : []) {
    const readout = document.getElementById("readout");
    readout.textContent = "Point at the chart, or choose it and press an arrow key: one second's numbers.";
    const cursor = chart.querySelector(".cursor");
    const last = data.first + data.failed.length - 1;
    let chosen = data.zero;
    const show = (second) => {
      chosen = Math.max(data.first, Math.min(last, second));
      const index = chosen - data.first;
      const parts = data.places.map((name, at) => [name, data.answered[at][index]]).filter((one) => one[1]);
      const since = chosen - data.zero;
      const failed = data.failed[index];
      readout.textContent = (since < 0 ? "−" : "+") + Math.abs(since) + " s: " + failed + " failed" +
        parts.map((one) => ", " + one[0] + " " + one[1]).join("");
      const box = chart.querySelector("svg").getBoundingClientRect();
      const scale = box.width / Number(chart.dataset.size);
      const share = (chosen + 0.5 - data.first) / (last + 1 - data.first);
      cursor.style.left = (Number(chart.dataset.left) + share * Number(chart.dataset.plot)) * scale + "px";
      cursor.style.display = "block";
    };
    const at = (event) => {
      const box = chart.querySelector("svg").getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * Number(chart.dataset.size) - Number(chart.dataset.left);
      show(Math.floor(data.first + x / Number(chart.dataset.plot) * (last + 1 - data.first)));
    };
    chart.addEventListener("pointermove", at);
    chart.addEventListener("pointerdown", at);
    chart.addEventListener("keydown", (event) => {
      const step = {ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10}[event.key];
      if (step) { event.preventDefault(); show(chosen + step); }
    });
  }
}
"""
