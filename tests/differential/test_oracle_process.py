# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The oracle as a process: the same answers always, and clear errors when there are none."""

from __future__ import annotations

import json
import random
import re
import signal
import typing as t

import pytest

from meshops_sandbox.build import go_programs, lines, versions
from tests.differential.known_meshes import Json, tutorial
from tests.differential.meshes import generate
from tests.differential.oracle import Oracle, OracleError

Oracles = t.Callable[..., Oracle]

pytestmark = pytest.mark.parametrize("line", lines())


def left_to_chance(mesh: Json) -> bool:
    """istiod walks Go maps over the keys of `distribute` (when it validates the mesh's, too), and cannot tell apart
    ServiceEntries of one namespace, host and second."""
    entries = [item for item in mesh["objects"] if item["kind"] == "ServiceEntry"]
    hosts = [(entry["metadata"]["namespace"], host) for entry in entries for host in entry["spec"]["hosts"]]
    return '"distribute"' in json.dumps(mesh) or len(hosts) > len(set(hosts))


def test_answers_are_the_same_with_any_number_of_workers(oracle: Oracles, line: str) -> None:
    dice = random.Random(20261124)
    generated = (generate(dice, zone_aware=line != "1.30") for _number in range(150))
    meshes = [mesh for mesh in generated if not left_to_chance(mesh)]
    assert len(meshes) > 50
    answers = oracle(line).ask(meshes)
    assert sum(not answer["error"] for answer in answers) > 40
    assert oracle(line).ask(meshes) == answers
    with Oracle(line, workers=1) as alone:
        assert alone.ask(meshes) == answers
    with Oracle(line, workers=8) as crowd:
        backwards = crowd.ask(reversed(meshes))[::-1]
    assert [backward["clients"] if "clients" in backward else backward["error"] for backward in backwards] == [
        answer["clients"] if "clients" in answer else answer["error"] for answer in answers
    ]


def test_a_dead_process_is_an_error_and_the_next_question_starts_another(line: str) -> None:
    with Oracle(line) as mortal:
        endless = iter(tutorial, None)
        answers = mortal.stream(endless)
        next(answers)
        assert mortal._process is not None
        mortal._process.kill()
        with pytest.raises(OracleError, match="ended with status -9") as caught:
            list(answers)
        assert caught.value.unanswered
        assert not mortal.ask([tutorial()])[0]["error"]


def test_a_hanging_process_is_an_error(line: str) -> None:
    with Oracle(line) as mortal:
        answers = mortal.stream(iter(tutorial, None))
        next(answers)
        patience, mortal.timeout = mortal.timeout, 1
        assert mortal._process is not None
        mortal._process.send_signal(signal.SIGSTOP)
        with pytest.raises(OracleError, match="no answer for 1 s"):
            list(answers)
        mortal.timeout = patience
        assert not mortal.ask([tutorial()])[0]["error"]


def test_the_callers_own_error_is_its_own(line: str) -> None:
    def meshes() -> t.Iterator[Json]:
        yield tutorial()
        raise KeyError("mine")

    with Oracle(line) as one_more:
        with pytest.raises(KeyError, match="mine"):
            one_more.ask(meshes())
        assert not one_more.ask([tutorial()])[0]["error"]


def test_versions_are_those_of_the_sandbox(line: str) -> None:
    """Then Go compiles them once for both."""
    programs = go_programs.oracle(versions.current(), line)
    pattern = re.compile(r"^(?:require |replace |\t)(\S+(?: => \S+)?) (v\S+)", re.MULTILINE)
    own = dict(pattern.findall((programs.directory / programs.modfile).read_text(encoding="utf-8")))
    sandbox = dict(pattern.findall((versions.GO_SOURCES / f"istio-{line}" / "go.mod").read_text(encoding="utf-8")))
    assert own["istio.io/istio"] == versions.current().istio[line].module
    assert own == sandbox
