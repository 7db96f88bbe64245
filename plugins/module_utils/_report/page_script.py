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
  if (isNaN(local) || !local.getTimezoneOffset()) continue;
  time.after(" (" + local.toLocaleString(undefined, {timeZoneName: "short"}) + ")");
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
      const parts = data.places.map((name, at) => [name, data.answered[at][index]]).filter((part) => part[1]);
      const since = chosen - data.zero;
      const failed = data.failed[index];
      readout.textContent = (since < 0 ? "−" : "+") + Math.abs(since) + " s: " + failed + " failed" +
        parts.map((part) => ", " + part[0] + " " + part[1]).join("");
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

#: The assessment's heat map: search, filters, and more rows than the worst 50 that are in the page.
ASSESSMENT = """
{
  const data = JSON.parse(document.getElementById("data").textContent);
  const body = document.querySelector("#grid tbody");
  const [search, namespace, grade] = ["search", "namespace", "grade"].map((id) => document.getElementById(id));
  const more = document.getElementById("more");
  const shown = document.getElementById("shown");
  const element = (name, text, kind) => {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const listed = (row) => {
    const list = element("ul");
    for (const [, , at] of row[2]) if (at >= 0) list.append(element("li", data.sentences[at]));
    for (const at of row[3]) list.append(element("li", data.sentences[at]));
    return list;
  };
  const drawn = (row) => {
    const line = element("tr");
    const head = element("th");
    head.scope = "row";
    const details = element("details");
    details.append(element("summary", row[0]));
    details.addEventListener("toggle", () => { if (!details.querySelector("ul")) details.append(listed(row)); });
    head.append(details);
    line.append(head);
    for (const [worst, share] of row[2]) {
      const [sign, word] = data.grades[worst];
      const cell = element("td", sign + " ", "cell g" + worst);
      if (worst) cell.append(element("span", word, "word"));
      if (share) cell.append(" " + share);
      line.append(cell);
    }
    return line;
  };
  let chosen = data.rows, count = 50;
  const show = () => {
    body.replaceChildren(...chosen.slice(0, count).map(drawn));
    more.hidden = chosen.length <= count;
    shown.textContent = Math.min(count, chosen.length).toLocaleString() + " of " + chosen.length.toLocaleString() +
      " Services" + (chosen.length === data.rows.length ? "" : " of " + data.rows.length.toLocaleString());
  };
  const choose = () => {
    const text = search.value.trim().toLowerCase();
    chosen = data.rows.filter((row) => row[0].toLowerCase().includes(text)
      && (!namespace.value || row[1] === namespace.value)
      && Math.max(...row[2].map((cell) => cell[0])) >= Number(grade.value));
    count = 50;
    show();
  };
  if (data.rows.length) {
    document.getElementById("filters").hidden = false;
    for (const control of [search, namespace, grade]) control.addEventListener("input", choose);
    more.addEventListener("click", () => { count += 200; show(); });
    show();
  }
}
"""
