# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever of a mesh is missing, each question has an answer or an error that says what to do."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import Fault
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._forecast.expected_probe import Watch
from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import (
    Ability,
    Selection,
    forecast,
    plan,
    resilience,
    upgrade_difference,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import build
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Mesh
from tests.differential.meshes import generate
from tests.differential.missing_fields import with_missing_fields


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_every_question_about_a_mesh_with_missing_fields(seed: int) -> None:
    chance = random.Random(seed)
    generated = generate(chance)
    objects = with_missing_fields(chance, generated["objects"])
    mesh = build(objects, mesh=Mesh(version="1.31", config=generated["mesh"]))
    faults = [fault.name.lower() for fault in chance.sample(list(Fault), 2)]
    levels = chance.choice((None, ["pod"], ["node", "zone"]))
    rates = Ability(rate=chance.choice((0.1, 20.0)), lose_clients=chance.random() < 0.5)
    watch = Watch(rates.rate, 1.0, chance.choice((2.0, 60.0)))
    plan(mesh, Selection())
    upgrade_difference(mesh, "1.31", "1.29")
    try:
        forecast(mesh, Selection(subset=None), levels=levels, faults=faults, ability=rates, watch=watch)
        resilience(mesh, Selection(), levels=levels, faults=faults, ability=rates)
    except InvalidInput as error:
        if not error.what.startswith("Nothing "):  # can be lost, because nothing is left.
            raise
