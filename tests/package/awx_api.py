# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for AWX's REST API, as far as awx.awx needs it to configure things.

It stores objects, and refuses with 400 what AWX refuses: fields that the module of that kind does not have, references
to objects that do not exist, missing required fields, surveys and recurrence rules that are not well formed. It runs no
jobs.
"""

from __future__ import annotations

import dataclasses
import http.server
import importlib
import json
import re
import threading
import typing as t
import urllib.parse

import yaml

Json = dict[str, t.Any]


class Refused(Exception):
    """What AWX answers with 400."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of object: its type, the module whose options are its fields, what a new one needs, what ids refer to."""

    type: str
    module: str
    required: frozenset[str]
    references: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    more: frozenset[str] = frozenset()


def _kind(type_: str, required: str, references: str = "", more: str = "", module: str = "") -> Kind:
    pairs = dict(pair.split(":") for pair in references.split())
    return Kind(type_, module or type_, frozenset(required.split()), pairs, frozenset(more.split()))


ORGANIZATION = "organization:organizations"
KINDS: t.Mapping[str, Kind] = {
    "organizations": _kind("organization", "name"),
    "credential_types": _kind("credential_type", "name kind", more="managed"),
    "credentials": _kind("credential", "name credential_type", f"{ORGANIZATION} credential_type:credential_types"),
    "execution_environments": _kind("execution_environment", "name image", ORGANIZATION),
    "notification_templates": _kind("notification_template", "name organization notification_type", ORGANIZATION),
    "projects": _kind("project", "name", f"{ORGANIZATION} default_environment:execution_environments"),
    "inventories": _kind("inventory", "name organization", ORGANIZATION),
    "hosts": _kind("host", "name inventory", "inventory:inventories"),
    "job_templates": _kind(
        "job_template",
        "name project playbook inventory",
        f"{ORGANIZATION} project:projects inventory:inventories execution_environment:execution_environments",
    ),
    "workflow_job_templates": _kind("workflow_job_template", "name", f"{ORGANIZATION} inventory:inventories"),
    "workflow_job_template_nodes": _kind(
        "workflow_job_template_node",
        "identifier workflow_job_template",
        "workflow_job_template:workflow_job_templates unified_job_template:unified_job_templates",
        "identifier type",
    ),
    "workflow_approval_templates": _kind("workflow_approval_template", "name", more="timeout", module="organization"),
    "schedules": _kind(
        "schedule",
        "name rrule unified_job_template",
        f"unified_job_template:unified_job_templates {ORGANIZATION}",
    ),
}
UNIFIED = ("job_templates", "projects", "workflow_job_templates", "workflow_approval_templates")
ASSOCIATIONS = {
    **dict.fromkeys(("success_nodes", "failure_nodes", "always_nodes"), "workflow_job_template_nodes"),
    "credentials": "credentials",
    **dict.fromkeys(
        (f"notification_templates_{when}" for when in ("started", "success", "error", "approvals")),
        "notification_templates",
    ),
}
#: AWX wants a start with a time zone, one rule, and an interval in it.
RRULE = re.compile(
    r"DTSTART(;TZID=[\w/]+:\d{8}T\d{6}|:\d{8}T\d{6}Z) RRULE:FREQ=\w+;(?:\w+=[\w,+-]+;)*INTERVAL=\d+(?:;\w+=[\w,+-]+)*"
)
#: Types of survey questions, and what their defaults have to be (awx/api/views, JobTemplateSurveySpec.ALLOWED_TYPES).
SURVEY_TYPES: t.Mapping[str, type] = {
    **dict.fromkeys(("text", "textarea", "password", "multiplechoice", "multiselect"), str),
    "integer": int,
    "float": float,
}


def fields_of(module: str) -> set[str]:
    """Return the options of a module of awx.awx, by its documentation."""
    loaded = importlib.import_module(f"ansible_collections.awx.awx.plugins.modules.{module}")
    return set(yaml.safe_load(loaded.DOCUMENTATION)["options"])


def check_survey(survey: Json) -> None:
    """Refuse a survey as AWX does."""
    if not survey.get("spec") or {"name", "description"} - set(survey):
        raise Refused("a survey needs name, description and a spec that is not empty")
    names = [question.get("variable") for question in survey["spec"]]
    if len(names) != len(set(names)):
        raise Refused("a survey asks twice for one variable")
    for question in survey["spec"]:
        for needed in ("type", "question_name", "variable", "required"):
            if needed not in question:
                raise Refused(f"{needed} is missing in the survey question {question}")
        if question["type"] not in SURVEY_TYPES:
            raise Refused(f"{question['type']} is no type of a survey question")
        wanted = SURVEY_TYPES[question["type"]]
        if question.get("default", "") != "" and not isinstance(question["default"], wanted):
            raise Refused(f"the default of {question['variable']} is expected to be {wanted.__name__}")
        if any(not isinstance(question.get(limit, 0), int) for limit in ("min", "max")):
            raise Refused(f"the limits of {question['variable']} are expected to be integers")
        if question["type"] == "multiplechoice" and question.get("default") not in [*question["choices"], ""]:
            raise Refused(f"the default of {question['variable']} is not among its choices")


class Awx:
    """The objects, by collection and id."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[int, Json]] = {name: {} for name in KINDS}
        self.related: dict[tuple[str, int, str], list[int]] = {}
        self.surveys: dict[tuple[str, int], Json] = {}
        self.next = 1
        self.add("organizations", {"name": "Default"})

    def add(self, collection: str, fields: Json) -> Json:
        """Store a new object."""
        kind = KINDS[collection]
        if missing := kind.required - set(fields):
            raise Refused(f"{kind.type}: {', '.join(sorted(missing))} is required")
        self.check(collection, fields)
        if any(self.same(collection, fields, other) for other in self.objects[collection].values()):
            raise Refused(f"{kind.type} {fields.get('name')} exists already")
        number, self.next = self.next, self.next + 1
        url = f"/api/v2/{collection}/{number}/"
        related = (
            {"survey_spec": f"{url}survey_spec/"} if collection in ("job_templates", "workflow_job_templates") else {}
        )
        self.objects[collection][number] = {**fields, "id": number, "url": url, "type": kind.type, "related": related}
        return self.objects[collection][number]

    def same(self, collection: str, entry: Json, other: Json) -> bool:
        """Whether AWX would take two objects for one."""
        keys = (
            ("name", "organization", "inventory")
            if collection in ("hosts", "inventories")
            else ("name", "organization")
        )
        if collection == "workflow_job_template_nodes":
            keys = ("identifier", "workflow_job_template")
        return all(entry.get(key) == other.get(key) for key in keys)

    def check(self, collection: str, fields: Json) -> None:
        """Refuse fields that do not exist, and references that lead nowhere."""
        kind = KINDS[collection]
        if unknown := set(fields) - fields_of(kind.module) - kind.more:
            raise Refused(f"{kind.type} has no field {', '.join(sorted(unknown))}")
        for name, where in kind.references.items():
            places = UNIFIED if where == "unified_job_templates" else (where,)
            if fields.get(name) and not any(fields[name] in self.objects[place] for place in places):
                raise Refused(f"{kind.type}: {name} {fields[name]} does not exist")
        if "rrule" in fields and not RRULE.fullmatch(fields["rrule"]):
            raise Refused(f"{fields['rrule']} is no recurrence rule for AWX")

    def matching(self, collection: str, query: Json) -> list[Json]:
        """Return the objects that a query matches."""
        if collection == "unified_job_templates":
            objects = [each for place in UNIFIED for each in self.objects[place].values()]
        else:
            objects = list(self.objects[collection].values())
        return [each for each in objects if all(str(each.get(name)) == value for name, value in query.items())]

    def answer(self, method: str, path: str, query: Json, body: Json) -> tuple[int, t.Any]:
        """Answer one request."""
        parts = path.removeprefix("/api/v2/").strip("/").split("/")
        collection, number = parts[0], int(parts[1]) if len(parts) > 1 else 0
        if len(parts) == 1:
            if method == "POST":
                return 201, self.add(collection, body)
            results = self.matching(collection, query)
            return 200, {"count": len(results), "next": None, "results": results}
        entry = self.objects[collection][number]
        if len(parts) == 2:
            if method == "PATCH":
                if collection == "workflow_approval_templates":  # the module sends the node's fields along
                    body = {name: value for name, value in body.items() if name in ("name", "timeout", "description")}
                self.check(collection, body)
                entry.update(body)
            return 200, entry
        if parts[2] == "survey_spec":
            return self.survey((collection, number), method, body)
        if parts[2] == "create_approval_template":
            approval = self.add(
                "workflow_approval_templates", {k: body[k] for k in ("name", "description", "timeout") if k in body}
            )
            entry["unified_job_template"] = approval["id"]
            entry["related"]["unified_job_template"] = approval["url"]
            return 201, approval
        return self.association((collection, number, parts[2]), method, body)

    def survey(self, key: tuple[str, int], method: str, body: Json) -> tuple[int, t.Any]:
        """Answer a request about a survey."""
        if method == "POST":
            check_survey(body)
            self.surveys[key] = body
        return 200, self.surveys.get(key, {})

    def association(self, key: tuple[str, int, str], method: str, body: Json) -> tuple[int, t.Any]:
        """Answer a request about objects that belong to an object."""
        where = ASSOCIATIONS[key[2]]
        ids = self.related.setdefault(key, [])
        if method == "GET":
            return 200, {"count": len(ids), "next": None, "results": [self.objects[where][each] for each in ids]}
        if body["id"] not in self.objects[where]:
            raise Refused(f"{key[2]} {body['id']} does not exist")
        if body.get("disassociate"):
            ids.remove(body["id"])
        else:
            ids.append(body["id"])
        return 204, None


class Server(http.server.ThreadingHTTPServer):
    """The API on a port of this machine, while it is used as a context."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.awx = Awx()
        self.lock = threading.Lock()
        self.requests: list[str] = []

    def __enter__(self) -> t.Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    """Reads a request and writes what Awx answers."""

    server: Server

    def _do(self) -> None:
        path = urllib.parse.urlsplit(self.path)
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        with self.server.lock:
            self.server.requests.append(f"{self.command} {self.path}")
            try:
                code, answer = self.server.awx.answer(
                    self.command, path.path, dict(urllib.parse.parse_qsl(path.query)), body
                )
            except Refused as error:
                code, answer = 400, {"detail": str(error), "__all__": [str(error)], "error": str(error)}
            except KeyError as error:
                code, answer = 404, {"detail": f"Not found: {error}"}
        data = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", "24.6.1")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = _do  # noqa: N815 - names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
