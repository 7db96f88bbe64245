# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses variables that nothing reads; see the documentation in plugins/modules/known_variables.py."""

from __future__ import annotations

import difflib
import re
import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase

from ansible_collections.meshops.locality.plugins.module_utils._errors import LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_names import (
    namespace_name,
    object_name,
)

#: What names the files or objects that a playbook reads, after its prefix.
INPUTS = ("manifests", "snapshot", "definitions")
ROLES = Path(__file__).resolve().parents[2] / "roles"
#: Files of a role whose variables a person may set, or the role sets itself.
_FILES = ("meta/argument_specs.yml", "defaults/*.yml", "tasks/*.yml", "vars/*.yml")


class ActionModule(ActionBase):
    """The action known_variables."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Fail with one sentence for each variable that is not known or blank, and when no host is matched."""
        super().run(tmp, task_vars)
        _result, args = self.validate_argument_spec(
            {
                "prefix": {"type": "str", "default": ""},
                "names": {"type": "list", "elements": "str", "default": []},
                "roles": {"type": "list", "elements": "str", "default": []},
                "matched_hosts": {"type": "list", "elements": "str"},
                "required": {"type": "dict", "default": {}},
            }
        )
        known = {str(args["prefix"]): set(args["names"])} if args["prefix"] else {}
        known |= {f"{role}_": role_variables(role) for role in args["roles"]}
        wrong = unknown(known, names_of_variables(task_vars or {}))
        for name, what in args["required"].items():
            if (task_vars or {}).get(name) in (None, ""):
                wrong.append(f"{name} is not set: {what}")
        prefix, variables = str(args["prefix"]), task_vars or {}
        inputs = {f"{prefix}{what}" for what in (*INPUTS, "live")} & {*args["names"]} & variables.keys()
        wrong += blank_inputs(prefix, {name: self._templar.template(variables[name]) for name in inputs})
        if "publish_config_map" in variables:
            wrong += wrong_config_map(self._templar.template(variables["publish_config_map"]))
        if args["matched_hosts"] == []:
            wrong.append(
                "No host of the inventory is matched, so no cluster is read. Give an inventory (-i), or files: a "
                "snapshot (…_snapshot), or manifests (…_manifests), with which plan, forecast, upgrade and assess want "
                "…_live=false."
            )
        if wrong:
            return {"failed": True, "changed": False, "msg": " ".join(wrong)}
        return {"changed": False}


def names_of_variables(task_vars: t.Mapping[str, t.Any]) -> set[str]:
    """Return the names of all variables of this host and of every host of the inventory."""
    names = {str(name) for name in task_vars}
    hostvars = task_vars.get("hostvars") or {}
    for host in hostvars:
        names |= {str(name) for name in hostvars[host]}
    return names


def blank_inputs(prefix: str, variables: t.Mapping[str, t.Any]) -> list[str]:
    """Return one sentence for each variable that says what is read and is blank, unless `live` says it, too.

    `variables` are those that are set, by name. A blank is most often the name of a file that a script did not have:
    live clusters in its place are another check than the one that was wanted.
    """
    if f"{variables.get(f'{prefix}live', '')}".strip() not in ("", "None"):
        return []
    names = [f"{prefix}{what}" for what in INPUTS]
    return [
        f"{name} is blank. Give it a value, leave it out, or say what is read with {prefix}live (true or false)."
        for name in names
        if name in variables and _blank(variables[name])
    ]


def wrong_config_map(value: t.Any) -> list[str]:
    """Return one sentence for a publish_config_map that is not NAMESPACE/NAME; a blank one publishes nothing.

    It is looked at before anything happens, because reports are published after a drill.
    """
    if _blank(value):
        return []
    namespace, _slash, name = str(value).partition("/")
    try:
        namespace_name(namespace, "The namespace")
        object_name(name, "The name")
    except LocalityError as error:
        return [f"publish_config_map is {str(value)!r}, and has to be NAMESPACE/NAME. {error}"]
    return []


def _blank(value: t.Any) -> bool:
    if isinstance(value, str):
        return not value.replace(",", " ").strip()
    if isinstance(value, t.Sequence):
        return all(map(_blank, value))
    return value is None or value == {}


def role_variables(role: str) -> set[str]:
    """Return the variables with a role's prefix that its files name."""
    pattern = re.compile(rf"\b{re.escape(role)}_\w+")
    files = [path for glob in _FILES for path in (ROLES / role).glob(glob)]
    return {name for path in files for name in pattern.findall(path.read_text(encoding="utf-8"))}


def unknown(known: t.Mapping[str, t.Collection[str]], names: t.Iterable[str]) -> list[str]:
    """Return one sentence for each name with a prefix of `known` ({prefix: names}) that is not among its names."""
    sentences = []
    for name in sorted(names):
        for prefix, mine in known.items():
            if not name.startswith(prefix) or name in mine:
                continue
            near = difflib.get_close_matches(name, mine, 1)
            do = f"did you mean {near[0]}?" if near else f"the variables are {', '.join(sorted(mine))}."
            sentences.append(f"There is no variable {name}: {do}")
    return sentences
