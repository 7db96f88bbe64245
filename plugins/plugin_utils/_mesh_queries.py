# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The questions that can be asked about a mesh, with their options: one table for the filters and for mesh_query.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import json
import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.meshops.locality.plugins.module_utils import _garbage_collection
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput, LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._istio import snapshot_document
from ansible_collections.meshops.locality.plugins.module_utils._model.plain_values import plain
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Snapshot
from ansible_collections.meshops.locality.plugins.plugin_utils._option_readers import (
    Option,
    dictionaries,
    flag,
    listed_texts,
    mapping,
    number,
    one_of,
    read_options,
    text,
    texts,
    whole_number,
)

Answer = t.TypeVar("Answer")
Values = t.Mapping[str, t.Any]


class Query(t.NamedTuple):
    """A question: its options, the function that answers it with their values, and the JSON form of the answer."""

    options: t.Mapping[str, Option]
    answer: t.Callable[[Snapshot, Values], t.Any]
    as_json: t.Callable[[t.Any], t.Any] = lambda answer: answer


@_garbage_collection.paused()
def read_snapshot(value: t.Any) -> Snapshot:
    """Read the snapshot of topology_info, its whole result, or the text of the file it saved.

    The text is the fastest for a large mesh: Ansible looks at every single value of a variable. Raises InvalidInput.
    """
    if isinstance(value, (str, bytes)):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise InvalidInput(
                f"Not a snapshot: the text is no JSON ({error}).",
                do="Give topology_info's snapshot, or the content of the file it saved: lookup('file', 'mesh.json').",
            ) from error
    else:
        value = plain(value)
    if isinstance(value, t.Mapping) and "schema" not in value and "snapshot" in value:
        value = value["snapshot"]
    return snapshot_document.read(value).snapshot


@_garbage_collection.paused()
def ask(kind: str, snapshot: Snapshot, given: t.Mapping[str, t.Any]) -> t.Any:
    """Answer the question `kind` of QUERIES about a snapshot: findings for lint, a JSON form for all others.

    Raises InvalidInput for options that are wrong.
    """
    query = QUERIES[kind]
    return query.answer(snapshot, read_options(query.options, given))


def filter_answer(
    name: str, kind: str, snapshot: t.Any, names: t.Sequence[str], values: t.Sequence[t.Any], options: Values
) -> t.Any:
    """Answer as the filter `name`: `values` are its positional options, which `names` name.

    Raises AnsibleFilterError.
    """

    def answer() -> t.Any:
        if len(values) > len(names):
            raise InvalidInput(f"At most {len(names)} options have no name: {', '.join(names)}.")
        twice = [option for option, _value in zip(names, values, strict=False) if option in options]
        if twice:
            raise InvalidInput(f"{twice[0]} is set twice.")
        given = {**dict(zip(names, values, strict=False)), **options}
        return QUERIES[kind].as_json(ask(kind, read_snapshot(snapshot), given))

    return answered(name, answer)


def answered(name: str, ask: t.Callable[[], Answer]) -> Answer:
    """Return what `ask` returns; a LocalityError becomes an AnsibleFilterError with the filter's name."""
    try:
        return ask()
    except LocalityError as error:
        raise AnsibleFilterError(f"{name}: {error}") from error


def loss_list(option: str, value: t.Any) -> list[t.Any]:
    """Read `losses`: a list of texts, dictionaries or lists of them; one text, also with commas, is a list."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, t.Mapping):
        return [plain(value)]
    if not isinstance(value, (list, tuple)):
        raise InvalidInput(f"{option} must be a list, not {type(value).__name__}.", do="Write: ['zone cn-north-4b'].")
    return t.cast(list[t.Any], plain(value))


def _positive(option: str, value: t.Any) -> float:
    read = number(option, value)
    if not read:
        raise InvalidInput(f"{option} must be above 0 requests per second.")
    return read


def _capacities(option: str, value: t.Any) -> dict[str, float]:
    if not isinstance(value, t.Mapping):
        raise InvalidInput(
            f"{option} must be a dictionary, not {type(value).__name__}.", do="Write {helloworld.sample: 50}."
        )
    return {str(name): number(f"{option}[{name}]", limit) for name, limit in value.items()}


_VERSION = {"istio_version": Option(text, "")}
_SELECTION = {
    "service": Option(texts, ()),
    "namespace": Option(text, ""),
    "client": Option(texts, ()),
    "port": Option(whole_number, 0),
}
_FAULT = {"faults": Option(listed_texts, ("refused",)), "readiness_seconds": Option(number, None)}
_LOSSES = {
    "subset": Option(text, ""),
    "losses": Option(loss_list, ()),
    "levels": Option(listed_texts, ()),
    "pairs": Option(flag, False),
    "rate": Option(_positive, 20.0),
    "capacity": Option(_capacities, {}),
    "headroom": Option(number, 2.0),
    "lose_clients": Option(flag, True),
}


def _selection(values: Values) -> t.Any:
    from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import Selection

    return Selection(values["service"], values["namespace"], values["client"], values["port"], values["subset"])


def _losses(values: Values) -> dict[str, t.Any]:
    from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import Ability

    return {
        "losses": values["losses"],
        "levels": values["levels"],
        "both": values["pairs"],
        "ability": Ability(values["capacity"], values["headroom"], values["rate"], values["lose_clients"]),
        "version": values["istio_version"],
    }


def _plan(snapshot: Snapshot, values: Values) -> t.Any:
    from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import plan

    return plan(snapshot, _selection(values), values["istio_version"])


def _forecast(snapshot: Snapshot, values: Values) -> t.Any:
    from ansible_collections.meshops.locality.plugins.module_utils._forecast.expected_probe import Watch
    from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import forecast

    watch = values["watch"]
    return forecast(
        snapshot,
        _selection(values),
        **_losses(values),
        faults=values["faults"],
        readiness=values["readiness_seconds"],
        watch=watch
        and Watch(
            values["rate"],
            number("watch.lead", watch.get("lead", 0)),
            number("watch.seconds", watch.get("seconds")),
        ),
    )


def _matrix(snapshot: Snapshot, values: Values) -> t.Any:
    from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import resilience

    fault = {"faults": values["faults"], "readiness": values["readiness_seconds"]}
    return resilience(snapshot, _selection(values), **_losses(values), **fault)


def _upgrade(snapshot: Snapshot, values: Values) -> t.Any:
    from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import upgrade_difference

    if not values["to_version"]:
        raise InvalidInput("to_version is missing.", do="Name the version of Istio after the upgrade: '1.31'.")
    return upgrade_difference(snapshot, values["from_version"], values["to_version"])


def _lint(snapshot: Snapshot, values: Values) -> t.Any:
    from ansible_collections.meshops.locality.plugins.module_utils._lint.lint import lint

    return lint(
        snapshot,
        version=values["istio_version"],
        next_version=values["next_version"],
        min_severity=values["min_severity"],
        suppress=values["suppress"],
        observed=values["observed"],
        sources={str(name): str(file) for name, file in values["sources"].items()},
    )


def _findings_as_json(answer: t.Any) -> t.Any:
    from ansible_collections.meshops.locality.plugins.module_utils._lint.result_json import finding_as_json

    return [finding_as_json(finding) for finding in answer]


def _assessment(snapshot: Snapshot, values: Values) -> t.Any:
    from ansible_collections.meshops.locality.plugins.module_utils._report.assessment import (
        assessment,
        default_levels,
    )

    levels = values["levels"] or default_levels(snapshot)
    fault = {name: option.default for name, option in _FAULT.items()}
    given = {**values, **fault, "levels": levels, "losses": (), "pairs": False, "port": 0, "subset": "", "client": ()}
    findings = _lint(snapshot, {**{name: option.default for name, option in QUERIES["lint"].options.items()}, **values})
    return assessment(_matrix(snapshot, given), _findings_as_json(findings), snapshot, values["levels"] or None)


#: Each question by its name. The options are documented with the filters of docs/predict.md and docs/lint.md.
QUERIES = {
    "plan": Query({**_SELECTION, "subset": Option(text, None, blank=True), **_VERSION}, _plan),
    "forecast": Query(
        {
            **_SELECTION,
            **_LOSSES,
            **_FAULT,
            "watch": Option(mapping, None),
            **_VERSION,
        },
        _forecast,
    ),
    "matrix": Query({**_SELECTION, **_LOSSES, **_FAULT, **_VERSION}, _matrix),
    "upgrade": Query({"to_version": Option(text, ""), "from_version": Option(text, "")}, _upgrade),
    "lint": Query(
        {
            **_VERSION,
            "next_version": Option(text, None, blank=True),
            "min_severity": Option(one_of("error", "warning", "info"), "info"),
            "suppress": Option(lambda _name, value: plain(value), ()),
            "observed": Option(dictionaries, ()),
            "sources": Option(mapping, {}),
        },
        _lint,
        _findings_as_json,
    ),
    "assessment": Query(
        {
            **{name: _SELECTION[name] for name in ("service", "namespace")},
            **{name: _LOSSES[name] for name in ("levels", "rate", "capacity", "headroom")},
            "lose_clients": Option(flag, False),
            "suppress": Option(lambda _name, value: plain(value), ()),
            **_VERSION,
        },
        _assessment,
    ),
}
