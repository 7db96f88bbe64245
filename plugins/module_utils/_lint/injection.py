# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ML511: labels of namespaces that are meant to switch injection on.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._lint.context import View
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import WARNING, RuleResult, Where
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding_texts import count
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import rule
from ansible_collections.meshops.locality.plugins.module_utils._model.sidecar_injection import NAMESPACE_LABEL

_INJECTION = "https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/"


@rule("ML511", WARNING, "A namespace label that injects nothing", _INJECTION)
def meaningless(view: View) -> t.Iterator[RuleResult]:
    """The label istio-injection has another value than enabled and disabled: no injector answers for it."""
    for namespace in view.snapshot.namespaces:
        value = namespace.labels.get(NAMESPACE_LABEL, "disabled")
        if value in ("enabled", "disabled"):
            continue
        pods = [pod for pod in view.snapshot.pods if pod.namespace == namespace.name]
        bare = count(sum(not pod.proxy for pod in pods), "pod")
        yield RuleResult(
            Where(f"Namespace {namespace.name}", f"metadata.labels[{NAMESPACE_LABEL}]"),
            f"Namespace {namespace.name} has the label {NAMESPACE_LABEL}={value}; no injector answers for that value.",
            f"A pod that starts there gets no sidecar, also where {NAMESPACE_LABEL} is meant to let istio.io/rev "
            f"decide; {bare} of {len(pods)} have none now. Requests of such pods heed no locality.",
            f"{NAMESPACE_LABEL}: enabled",
        )
