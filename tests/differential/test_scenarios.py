# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of requests, on the real Envoy with istiod's own routes: a small part of `make oracle-requests`."""

from __future__ import annotations

import os
import random
import sys

from .envoy import programs, scenarios

SEED = int(os.environ.get("MESHOPS_ORACLE_SEED") or random.SystemRandom().randrange(10**6))


def test_requests_end_as_forecast() -> None:
    sys.stdout.write(f"MESHOPS_ORACLE_SEED={SEED}\n")
    version = programs.known_versions()[0]
    verdict, again = scenarios.measure(version, scenarios.scenarios(8, SEED))
    if again is not None:
        lines = [again.line(index) for index in sorted({*again.misses, *again.rejected})]
        assert not lines, lines
    # The same requests must speak against forecasts that are wrong on purpose, of whatever kind this seed brings.
    assert sum(number > 0 for number in verdict.caught.values()) >= 1, verdict.caught
