# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What mesh_query prints and sums up: the mesh that was read, and each answer.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import textwrap
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Snapshot
from ansible_collections.meshops.locality.plugins.module_utils._report.not_judged import not_judged_text

Json = t.Mapping[str, t.Any]
#: Widths of texts when none is asked for.
_WIDTHS = {"lint": 70, "matrix": 120}


def mesh_text(read: Json, live: t.Sequence[str] = ()) -> str:
    """Return what was read, and what could not be read, so that nothing is said about it.

    `read` is topology_info's result. `live`: what it was read from, when nobody said that it is a cluster.
    """
    numbers = read.get("summary") or {}
    line = (
        f"clients: {numbers.get('clients')}, Services: {numbers.get('services')}, endpoints: "
        f"{numbers.get('endpoints')}, DestinationRules: {numbers.get('destination_rules')}, "
        f"Istio {numbers.get('istio_version') or 'of an unknown version'}"
    )
    over = [not_judged_text(entry) for entry in read.get("not_judged") or ()]
    return "\n".join(
        [
            *(f"read: {source}" for source in live),
            line,
            *_listed("not judged:", over),
            *_listed("not read, so missing below:", [problem["text"] for problem in read.get("problems") or ()]),
        ]
    )


def unchecked(snapshot: Snapshot, version: str) -> str:
    """Return why answers for this version of Istio (that of the snapshot for '') are not checked; '' when they are."""
    from ansible_collections.meshops.locality.plugins.module_utils._istio.versions import semantics

    sentence = semantics(version or snapshot.mesh.version).unchecked
    return sentence.text if sentence else ""


def assumptions_text(read: Json, answers: Json, not_checked: str = "") -> str:
    """Return all assumptions, each once: those of the mesh and those of the answers."""
    assumed = list(read.get("assumptions") or ())
    for kind, answer in answers.items():
        if kind in ("matrix", "forecast", "upgrade", "assessment"):
            assumed += [*answer.get("assumptions", ()), *(answer.get("model") or ())]
    sentences = [*([not_checked] if not_checked else []), *(assumption["text"] for assumption in assumed)]
    return "\n".join(_listed("assumed:", list(dict.fromkeys(sentences))))


def _listed(title: str, sentences: t.Sequence[str]) -> list[str]:
    wrap = textwrap.TextWrapper(
        110, initial_indent="  - ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    lines = [line for sentence in sentences for line in wrap.wrap(sentence)]
    return [title, *lines] if lines else []


def answer_text(kind: str, answer: t.Any, width: int = 0, snapshot: Snapshot | None = None) -> str:
    """Return an answer of `ask` as text. `width` in characters, 0 for the default. `snapshot`: what it is about."""
    from ansible_collections.meshops.locality.plugins.module_utils._report import prediction_table
    from ansible_collections.meshops.locality.plugins.module_utils._report.assessment import assessment_text
    from ansible_collections.meshops.locality.plugins.module_utils._report.lint import report

    width = width or _WIDTHS.get(kind, 120)
    if kind == "lint":
        text = report(answer, "text", width=width)
        if snapshot is not None and not answer and not snapshot.destination_rules:
            text += " No DestinationRule was read, so none was judged: without one, Envoy ejects no endpoint."
        return text
    if kind == "assessment":
        return assessment_text(answer, width)
    if isinstance(answer, dict) and "not_judged" in answer:
        answer = {**answer, "not_judged": []}  # mesh_text has said it
    return prediction_table.prediction_table(answer, width)


def summary(kind: str, answer: t.Any) -> dict[str, t.Any]:
    """Return the few numbers of an answer that a workflow decides by."""
    if kind == "lint":
        open_findings = [finding for finding in answer if not finding["suppressed"]]
        numbers = {
            severity: sum(finding["severity"] == severity for finding in open_findings)
            for severity in ("error", "warning", "info")
        }
        return {**numbers, "suppressed": len(answer) - len(open_findings)}
    if kind == "assessment":
        return {"services": answer["services"], "grades": answer["grades"], "sentence": answer["sentence"]}
    if kind == "plan":
        return {"rows": len(answer), "services": len({(row["service"], row["port"]) for row in answer})}
    if kind == "matrix":
        return {"services": len(answer["rows"]), "losses": len(answer["losses"]), "at_risk": answer["summary"]}
    if kind == "forecast":
        return {"rows": len(answer["rows"])}
    return {"changes": len(answer["changes"])}
