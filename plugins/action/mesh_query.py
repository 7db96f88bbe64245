# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a mesh and answers questions about it; see the documentation in plugins/modules/mesh_query.py.

One action instead of a module, facts and filters: the snapshot of a large mesh never becomes a variable of Ansible,
which would look at every value of it again and again, and an error is its own sentence, once.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput, LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._model.plain_values import plain
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Snapshot
from ansible_collections.meshops.locality.plugins.module_utils._report.not_judged import not_judged_text
from ansible_collections.meshops.locality.plugins.plugin_utils._option_readers import (
    Option,
    flag,
    listed_texts,
    mapping,
    one_of,
    read_options,
    text,
    whole_number,
)
from ansible_collections.meshops.locality.plugins.plugin_utils._terminal_text import for_programs, heading, print_text

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import Finding

Json = dict[str, t.Any]

_GRAVEST = {"error": ("error",), "warning": ("error", "warning"), "info": ("error", "warning", "info"), "never": ()}
_OPTIONS = {
    "questions": Option(mapping, {}),
    "manifests": Option(listed_texts, ()),
    "snapshot": Option(text, ""),
    "live": Option(flag, None),
    "file": Option(text, ""),
    "reports": Option(mapping, {}),
    "fail_on": Option(one_of(*_GRAVEST), "error"),
    "width": Option(whole_number, 0),
    "show": Option(flag, True),
    "return_answers": Option(flag, True),
    "variables": Option(mapping, {}),
}


class ActionModule(ActionBase):
    """The action mesh_query."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        """Read, answer, print, write; return the answers or a failure with one sentence."""
        result: Json = super().run(tmp, task_vars)
        try:
            result.update(self._run(task_vars or {}))
        except LocalityError as error:
            result.update(failed=True, msg=str(error), error=type(error).__name__, **error.details)
        if result.get("failed") and isinstance(result.get("msg"), str):
            result["msg"] = with_variables(result["msg"], self._task.args.get("variables"))
        return result

    def _run(self, task_vars: Json) -> Json:
        args = t.cast(Json, plain(self._task.args))
        options = read_options(_OPTIONS, {name: args[name] for name in _OPTIONS if name in args})
        if not options["questions"]:
            raise InvalidInput("questions is empty, so nothing would be judged.", do="Name one: {plan: {}}.")
        if "namespaces" in args and args["namespaces"] in ("", [], None):
            raise InvalidInput(
                "namespaces is empty. A variable that a form left blank is empty, too.",
                do="Name the namespaces, or leave it out.",
            )
        # Everything that is not an option of ours is one of topology_info.
        theirs = {name: value for name, value in args.items() if name not in _OPTIONS and value not in ("", [])}
        files = [*([options["snapshot"]] if options["snapshot"] else []), *options["manifests"]]
        theirs.update(
            live=not options["snapshot"] if options["live"] is None else options["live"],
            manifests=[os.path.realpath(os.path.expanduser(file)) for file in files],
            return_snapshot=False,
        )
        if not theirs["live"]:
            snapshot, read = read_files(theirs)
            return self._answer(options, read, snapshot, heading(task_vars))
        folder = Path(tempfile.mkdtemp(prefix="meshops-"))
        try:
            return self._live(options, theirs, folder / "mesh.json", task_vars)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _live(self, options: Json, theirs: Json, path: Path, task_vars: Json) -> Json:
        """Let topology_info save the snapshot in `path`, and answer about it."""
        from ansible_collections.meshops.locality.plugins.plugin_utils._mesh_queries import read_snapshot

        theirs["path"] = str(path)
        check, self._task.check_mode = self._task.check_mode, False  # it only reads; the file is ours
        try:
            read = self._execute_module("meshops.locality.topology_info", module_args=theirs, task_vars=task_vars)
        finally:
            self._task.check_mode = check
        read.pop("invocation", None)
        if read.get("failed"):
            return t.cast(Json, read)
        return self._answer(options, read, read_snapshot(path.read_text(encoding="utf-8")), heading(task_vars))

    def _answer(self, options: Json, read: Json, snapshot: Snapshot, host: str) -> Json:
        from ansible_collections.meshops.locality.plugins.plugin_utils._mesh_queries import QUERIES, ask
        from ansible_collections.meshops.locality.plugins.plugin_utils._mesh_texts import (
            answer_text,
            assumptions_text,
            mesh_text,
            summary,
            unchecked,
        )

        results: Json = {}
        for kind, asked in options["questions"].items():
            if kind not in QUERIES:
                raise InvalidInput(f"There is no question {kind!r}.", do=f"The questions are {', '.join(QUERIES)}.")
            sources = {"sources": _relative(read.get("files") or {})} if kind == "lint" else {}
            given = {**sources, **mapping(f"questions.{kind}", asked or {})}
            results[kind] = ask(kind, snapshot, given)
        answers: Json = {kind: QUERIES[kind].as_json(result) for kind, result in results.items()}
        version = str((options["questions"].get("lint") or {}).get("istio_version") or "")
        text = "\n\n".join(
            part
            for part in (
                mesh_text(read, snapshot.sources if options["live"] is None and not options["snapshot"] else ()),
                *(answer_text(kind, result, options["width"], snapshot) for kind, result in results.items()),
                assumptions_text(read, answers, unchecked(snapshot, version) if "lint" in answers else ""),
            )
            if part
        )
        if options["show"]:
            print_text(text, host)
        result: Json = {
            "changed": self._write(options, answers, results.get("lint", ())),
            "summary": {kind: summary(kind, answer) for kind, answer in answers.items()},
        }
        failing = [
            finding
            for finding in answers.get("lint", ())
            if not finding["suppressed"] and finding["severity"] in _GRAVEST[options["fail_on"]]
        ]
        # lint has a finding of its own for it (ML907), which can be suppressed.
        if not read.get("judged", True) and set(answers) != {"lint"}:
            msg = "Nothing was judged: no client or no endpoint is known here. " + " ".join(
                map(not_judged_text, read.get("not_judged") or ())
            )
            return {**result, "failed": True, "msg": msg, **({"text": text} if for_programs() else {})}
        if nothing := _nothing_judged(answers):
            return {**result, "failed": True, "msg": nothing, **({"text": text} if for_programs() else {})}
        if failing:
            ids = ", ".join(sorted({finding["id"] for finding in failing}))
            plural = "" if len(failing) == 1 else "s"
            msg = f"{len(failing)} finding{plural} of severity {' or '.join(_GRAVEST[options['fail_on']])} ({ids})."
            msg += " Each is printed above with its fix. To accept one, suppress it with a reason: see "
            msg += "https://github.com/meshops/locality/blob/main/docs/lint.md#suppressions."
            # A failed task is shown whole, and the text has just been printed.
            return {**result, "failed": True, "msg": msg, **({"text": text} if for_programs() else {})}
        result["mesh"] = {name: read.get(name) for name in ("summary", "problems", "assumptions", "not_judged")}
        result["text"] = text
        if options["return_answers"]:
            result["answers"] = answers
        return result

    def _write(self, options: Json, answers: Json, findings: t.Sequence[Finding]) -> bool:
        """Write the files that were asked for; return whether one changed. Check mode writes none."""
        contents: dict[str, str] = {}
        if options["file"]:
            only = next(iter(answers.values())) if len(answers) == 1 else answers
            contents[options["file"]] = json.dumps(only, indent=2, ensure_ascii=False) + "\n"
        for form, path in options["reports"].items():
            if path:
                kind = "assessment" if form == "html" else "lint"
                if kind not in answers:
                    raise InvalidInput(
                        f"reports: {form} is a report of {kind}.", do=f"Ask the question {kind}, or use file."
                    )
                contents[str(path)] = (
                    _assessment_page(answers[kind])
                    if kind == "assessment"
                    else _lint_report(findings, str(form), options["fail_on"])
                )
        changed = False
        for name, content in contents.items():
            path = Path(os.path.realpath(os.path.expanduser(name)))
            try:
                if path.is_file() and path.read_text(encoding="utf-8") == content:
                    continue
                changed = True
                if not self._task.check_mode:
                    path.write_text(content, encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise InvalidInput(f"{path} cannot be written: {error}.", do="Name another file.") from error
        return changed


def read_files(given: Json) -> tuple[Snapshot, Json]:
    """Return (snapshot, what topology_info returns without it) of files, in this process: no cluster is asked.

    `given` are options of topology_info. Raises InvalidInput for those that it would refuse, in its words.
    """
    from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

    from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_names import check_names
    from ansible_collections.meshops.locality.plugins.module_utils._module.topology_info import without_cluster
    from ansible_collections.meshops.locality.plugins.module_utils._module_runner import API_TIMEOUT_SPEC, AUTH_SPEC
    from ansible_collections.meshops.locality.plugins.modules.topology_info import ARGUMENT_SPEC

    spec = {**ARGUMENT_SPEC, **AUTH_SPEC, **API_TIMEOUT_SPEC}
    checked = ArgumentSpecValidator(spec).validate(given)
    if checked.error_messages:
        raise InvalidInput(checked.error_messages[0])
    check_names(spec, checked.validated_parameters)
    return without_cluster(checked.validated_parameters)


def with_variables(message: str, variables: t.Any) -> str:
    """Return a message that begins with an option's name with that of the variable a person sets instead of it.

    `variables`: {option: variable}, and `prefix` for all others that stand first: `{prefix: plan_}`.
    """
    if not isinstance(variables, t.Mapping):
        return message
    first = re.match(r"(Action failed: )?([a-z_]+)(?=\b)", message)
    if first is None:
        return message
    option = first[2]
    known = {*_OPTIONS, *_TOPOLOGY, *(name for query in _queries().values() for name in query.options)}
    prefix = str(variables.get("prefix", ""))
    name = variables.get(option) or (f"{prefix}{option}" if option in known and prefix else option)
    return f"{first[1] or ''}{name}{message[first.end() :]}"


#: Options of topology_info that playbooks hand on.
_TOPOLOGY = ("definitions", "namespaces", "default_namespace", "control_plane_namespace", "revision", "istio_version")


def _queries() -> t.Mapping[str, t.Any]:
    from ansible_collections.meshops.locality.plugins.plugin_utils._mesh_queries import QUERIES

    return QUERIES


def _nothing_judged(answers: Json) -> str:
    """Return a sentence when an answer is about nothing: a check of nothing must not be green. Else ''."""
    from ansible_collections.meshops.locality.plugins.module_utils._report.assessment import places_judged

    for kind, answer in answers.items():
        if kind == "plan" and not answer:
            return "Nothing is planned: no client reaches such a Service, port or subset. Check plan's options."
        if kind in ("matrix", "forecast") and not answer["rows"]:
            return "No Service was judged: no client reaches such a Service, port or subset. Check the options."
        if kind == "assessment" and answer["rows"] and not places_judged(answer):
            return f"{answer['sentence']} Label the nodes with topology.kubernetes.io/region and …/zone."
    return ""


def _assessment_page(answer: Json) -> str:
    from ansible_collections.meshops.locality.plugins.module_utils._report.assessment_page import assessment_page

    return assessment_page(answer)


def _lint_report(findings: t.Sequence[Finding], form: str, fail_on: str) -> str:
    from ansible_collections.meshops.locality.plugins.module_utils._report.lint import report

    return report(findings, form, strict=fail_on != "error")


def _relative(files: t.Mapping[str, str]) -> dict[str, str]:
    """Return `path:line` of each object as the person who runs this would write the path."""
    return {name: os.path.relpath(place) for name, place in files.items()}
