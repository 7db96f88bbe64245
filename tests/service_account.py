# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A ServiceAccount of a test: when it may use its rights, and its kubeconfig."""

from __future__ import annotations

import time
import typing as t
from pathlib import Path

import yaml

Json = dict[str, t.Any]


def until_granted(kubectl: t.Any, manifests: t.Sequence[Json], account: str) -> None:
    """Wait until the API server's authorizer knows every role: it learns of them later than they are written."""
    until = time.monotonic() + 60
    for manifest in manifests:
        for rule in manifest.get("rules", ())[:1]:
            group = f".{rule['apiGroups'][0]}" if rule["apiGroups"][0] else ""
            where = ("-n", manifest["metadata"]["namespace"]) if manifest["kind"] == "Role" else ("-A",)
            resource, _slash, sub = rule["resources"][0].partition("/")
            question = ("auth", "can-i", rule["verbs"][0], resource + group, f"--subresource={sub}", *where)
            question += ("--as", account)
            while "yes" not in kubectl(*question, check=False):
                assert time.monotonic() < until, question
                time.sleep(0.2)


def kubeconfig_with_token(kubeconfig: Path, token: str, path: Path) -> Path:
    """Write another kubeconfig to `path`, with a bearer token as its only credential; returns `path`."""
    config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    config["users"] = [{"name": "limited", "user": {"token": token}}]
    for context in config["contexts"]:
        context["context"]["user"] = "limited"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path
