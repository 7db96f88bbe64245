# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written into the ConfigMap of a drill has no secret in it, and all that the undoing needs."""

from __future__ import annotations

import json
import typing as t
from dataclasses import replace

from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import INJECTED, JournalRecord, Target
from ansible_collections.meshops.locality.plugins.module_utils._kube import drill_journal
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import CONFIG_MAP
from tests.unit.plugins.module_utils.cluster_in_memory import ClusterInMemory

TOKEN = "planted-token-0001"
#: The short secret is the name of nearly everything, too.
TARGET = Target("shop", "shop", "shop", workload="Deployment/shop", container="shop", state=INJECTED)
RECORD = JournalRecord(
    "20261126-164000-abc", "me@here", "a is lost", "shop", "shop", "drain_inbound", ("zone shop",),
    "2026-11-26T16:40:00.000Z", "2026-11-26T16:50:00.000Z", (TARGET,), reach={"pod": "shop", "path": "/shop"},
)  # fmt: skip


class Creating(ClusterInMemory):
    """Makes objects by requests, too."""

    def request(self, _verb: str, method: str, path: str, **more: t.Any) -> dict[str, t.Any]:
        return self.put(CONFIG_MAP, more["body"])


def test_no_secret_is_in_a_journal() -> None:
    cluster: t.Any = Creating()
    cluster.secrets = frozenset({TOKEN, "shop"})
    said = f"asked http://ann:shop@web/ with {TOKEN}"
    stored = drill_journal.create(cluster, replace(RECORD, title=said).noted(RECORD.started, "journal", said), "me")
    assert stored.record is not None
    closed = replace(stored.record, result={"outcome": "FAILED", "reason": said})
    # A text that is cut is masked before: half a token is left of nothing.
    long = "x" * (drill_journal.MOST_LETTERS - 5) + TOKEN
    saved = drill_journal.save(cluster, stored, closed.noted(RECORD.started, "restore", long), "me")
    (item,) = cluster.items.values()
    text = item["data"][drill_journal.KEY]
    assert (TOKEN in text, ":shop@" in text, TOKEN[:5] in text) == (False, False, False)
    assert text.count("asked http://ann:********@web/ with ********") == 3
    assert saved.record is not None
    assert saved.record.targets == RECORD.targets
    assert (saved.record.reach, saved.record.asked) == (RECORD.reach, RECORD.asked)
    assert saved.record.result is not None
    assert saved.record.result["outcome"] == "FAILED"
    assert json.loads(text)["namespace"] == "shop"


def test_a_masked_journal_is_recognized_as_ours() -> None:
    """Its answer got lost, and the next version finds what was meant: not somebody else's."""
    cluster: t.Any = Creating()
    cluster.secrets = frozenset({TOKEN})
    stored = drill_journal.create(cluster, RECORD, "me")
    assert stored.record is not None
    meant = stored.record.noted(RECORD.started, "inject", f"with {TOKEN}")
    cluster.meanwhile.append(lambda: drill_journal.save(cluster, stored, meant, "me"))
    saved = drill_journal.save(cluster, stored, meant, "me")
    assert saved.record is not None
    assert saved.record.entries[0].what == "with ********"
