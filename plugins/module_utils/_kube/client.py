# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that talks to an API server.

Credentials come from kubernetes.core's own code, so every option and every K8S_AUTH_* variable means what its users
know. Requests are plain JSON over the pool that the `kubernetes` library configures: no discovery (the kinds are
constants), no typed models (2–3 times slower on large lists), retries by urllib3.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import contextlib
import json
import re
import typing as t
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

from ansible_collections.kubernetes.core.plugins.module_utils.k8s import client as core_client

from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    ClusterError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    Rejected,
    Unauthorized,
    Unreachable,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.list_pages import Page, continue_token

# Ansible loads every module_utils file without third-party libraries; run_module says that they are missing.
with contextlib.suppress(ImportError):
    import kubernetes
    import urllib3
    import yaml

    TIMEOUT = urllib3.Timeout(connect=5, read=30)

if t.TYPE_CHECKING:
    import builtins

    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import Kind

FIELD_MANAGER = "meshops.locality"
PAGE = 500
WORKERS = 16

Json = dict[str, t.Any]
Item = t.TypeVar("Item")
Result = t.TypeVar("Result")


def retries() -> urllib3.Retry:
    """Return how often one request is tried again: 429 (as long as Retry-After says) and passing 5xx, all verbs.

    A repeated write does no harm: each is an apply, a patch guarded by resourceVersion, a patch that sets one
    annotation to the same value again, or a delete. But when the first answer got lost, the second may be a 409 or
    404: the caller has to see whether the first one was done (nodes.write does).
    """
    return urllib3.Retry(
        total=5,
        connect=2,
        read=2,
        status=5,
        other=0,  # TLS: a certificate does not become right by asking again
        backoff_factor=0.4,
        backoff_max=8,
        backoff_jitter=0.2,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=None,
        respect_retry_after_header=True,
        raise_on_status=False,
    )


def connect(module: AnsibleModule) -> Cluster:
    """Return the cluster that the module's options, the environment or the default kubeconfig name.

    No request is sent. Raises InvalidInput when there is no usable configuration.
    """
    # get_api_client() would do the same and then read the whole discovery without retries.
    try:
        auth = core_client._create_auth_spec(module)
        configuration = core_client._create_configuration(auth)
        headers = core_client._create_headers(module)
    except (
        kubernetes.config.ConfigException,
        yaml.YAMLError,
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
    ) as error:
        source = (
            auth.get("kubeconfig") if isinstance(auth.get("kubeconfig"), str) else "the given or default kubeconfig"
        )
        raise InvalidInput(
            f"No usable cluster configuration in {source}: {error}",
            do="Check the options kubeconfig, context and host, or the K8S_AUTH_* variables.",
        ) from error
    configuration.connection_pool_maxsize = WORKERS
    return Cluster(kubernetes.client.ApiClient(configuration), headers)


class Cluster:
    """Reads and writes objects as plain JSON; every error is one of `_errors.ClusterError`."""

    def __init__(self, api: kubernetes.client.ApiClient, headers: t.Mapping[str, t.Any]) -> None:
        self.configuration = api.configuration
        self._pool = api.rest_client.pool_manager
        self._impersonation = [
            (name, str(value))
            for name, given in headers.items()
            for value in (given if isinstance(given, list) else [given])
        ]

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return str(self.configuration.host).rstrip("/")

    def headers(self) -> urllib3.HTTPHeaderDict:
        """Return the headers that authenticate one request; a token from an exec plugin is renewed here."""
        headers = urllib3.HTTPHeaderDict({"Accept": "application/json", "User-Agent": FIELD_MANAGER})
        for name, value in self._impersonation:
            headers.add(name, value)
        for setting in self.configuration.auth_settings().values():
            if setting["in"] == "header" and setting["value"]:
                headers[setting["key"]] = setting["value"]
        return headers

    def request(
        self,
        verb: str,
        method: str,
        path: str,
        *,
        query: t.Mapping[str, t.Any] | None = None,
        body: t.Any = None,
        content_type: str = "application/json",
    ) -> Json:
        """Send one request and return the JSON of its answer.

        `verb` is the word RBAC has for it (get, list, patch, …): it goes into the message of a 403.
        """
        answer = self._send(verb, method, path, query, body, content_type)
        return t.cast(Json, json.loads(answer)) if answer else {}

    def text(self, verb: str, path: str, *, query: t.Mapping[str, t.Any] | None = None) -> str:
        """Read something that is not JSON (the log of a container)."""
        return self._send(verb, "GET", path, query).decode("utf-8", "replace")

    def _send(
        self,
        verb: str,
        method: str,
        path: str,
        query: t.Mapping[str, t.Any] | None = None,
        body: t.Any = None,
        content_type: str = "",
        packed: bool = False,
    ) -> bytes:
        url = self.server + path
        if query:
            url += "?" + urlencode({key: value for key, value in query.items() if value not in (None, "")})
        headers = self.headers()
        if packed:
            headers["Accept-Encoding"] = "gzip"
        data = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = json.dumps(body)
        try:
            response = self._pool.request(method, url, body=data, headers=headers, timeout=TIMEOUT, retries=retries())
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from error
        if 200 <= response.status <= 299:
            return bytes(response.data)
        raise self.failure(verb, path, response.status, response.data)

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Json | None:
        """Return one object, or None when it does not exist."""
        try:
            return self.request("get", "GET", kind.path(namespace, name))
        except NotFound:
            return None

    def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
    ) -> list[Json]:
        """Return all objects of a kind (of one namespace, or of all), read in pages of 500.

        Raises NotFound when the API server does not know the kind (for Istio's kinds: Istio is not installed).
        """
        return self.each(kind, lambda item: item, namespace, labels=labels, fields=fields)

    def each(
        self,
        kind: Kind,
        take: t.Callable[[Json], Result],
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
        page: int = PAGE,
        lean: bool = False,
    ) -> builtins.list[Result]:
        """Return what `take` makes of every object of a kind; one object at a time is in memory as a whole.

        `lean`: without their managed fields. The next page is on its way while one is read. Raises NotFound when the
        API server does not know the kind.
        """
        query: Json = {"limit": page, "labelSelector": labels, "fieldSelector": fields}
        path = kind.path(namespace)
        try:
            return self._each(path, take, query, lean)
        except ClusterError as error:
            if error.status != 410:
                raise
        # The snapshot behind the continue token has been compacted away: start over, unpaged.
        return self._each(path, take, {**query, "limit": None}, lean)

    def _each(self, path: str, take: t.Callable[[Json], Result], query: Json, lean: bool) -> builtins.list[Result]:
        def fetch(token: str) -> bytes:
            # A page of pods shrinks to a tenth, and takes no longer even where the network costs nothing.
            return self._send("list", "GET", path, {**query, "continue": token}, packed=True)

        taken: list[Result] = []
        token = ""
        with ThreadPoolExecutor(max_workers=1) as ahead:
            data = fetch(token)
            while True:
                early = continue_token(data)
                coming = ahead.submit(fetch, early) if early else None
                try:
                    page = Page(data, lean)
                    taken += [take(item) for item in page if isinstance(item, dict)]
                except (ValueError, RecursionError) as error:
                    raise ClusterError(
                        f"The API server {self.server} answered {path} with something that is not a list: {error}.",
                        do="Is it an API server, or a proxy in front of one?",
                    ) from error
                token = page.token
                if not token:
                    return taken
                data = coming.result() if coming else fetch(token)

    def apply(
        self,
        kind: Kind,
        body: Json,
        *,
        manager: str = FIELD_MANAGER,
        force: bool = False,
        dry_run: bool = False,
    ) -> Json:
        """Server-side apply: own exactly the fields of `body`; what left it since the last apply leaves the object.

        Raises Conflict when another manager owns a field that differs and `force` is off.
        Source: Kubernetes documentation, server-side apply.
        """
        metadata = body["metadata"]
        query = {"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Strict"}
        return self.request(
            "patch",
            "PATCH",
            kind.path(metadata.get("namespace"), metadata["name"]),
            query={**query, "dryRun": "All" if dry_run else None},
            body={"apiVersion": kind.api_version, "kind": kind.kind, **body},
            content_type="application/apply-patch+yaml",
        )

    def merge_patch(
        self, kind: Kind, name: str, body: Json, namespace: str | None = None, *, dry_run: bool = False
    ) -> Json:
        """JSON merge patch (RFC 7386): a null removes a key. With `metadata.resourceVersion` it is guarded: 409."""
        return self.request(
            "patch",
            "PATCH",
            kind.path(namespace, name),
            query={"fieldManager": FIELD_MANAGER, "dryRun": "All" if dry_run else None},
            body=body,
            content_type="application/merge-patch+json",
        )

    def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str | None = None,
        *,
        resource_version: str | None = None,
        dry_run: bool = False,
    ) -> bool:
        """Delete one object; False when it was not there. With `resource_version` only this very version: 409."""
        body: Json = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if resource_version:
            body["preconditions"] = {"resourceVersion": resource_version}
        if dry_run:
            # Not as a query: next to a body the API server reads no options from there, and deletes for good.
            body["dryRun"] = ["All"]
        try:
            self.request("delete", "DELETE", kind.path(namespace, name), body=body)
        except NotFound:
            return False
        return True

    def map(
        self, function: t.Callable[[Item], Result], items: t.Sequence[Item], workers: int = WORKERS
    ) -> builtins.list[Result]:
        """Call `function` for every item, at most `workers` at a time; the results keep the order of the items."""
        if not items:
            return []
        with ThreadPoolExecutor(max_workers=max(1, min(workers, WORKERS, len(items)))) as pool:
            return list(pool.map(function, items))

    def _unreachable(self, error: Exception) -> Unreachable:
        reason = getattr(error, "reason", None) or error
        return Unreachable(
            f"No answer from the API server {self.server}: {reason}.",
            do="Check the address in the kubeconfig, the network and that the server runs, then run again.",
        )

    def failure(self, verb: str, path: str, status: int, data: bytes) -> ClusterError:
        """Turn an error answer into the exception that says what to do about it."""
        try:
            answer = json.loads(data)
        except ValueError:
            answer = data[:200].decode("utf-8", "replace")
        status_object = answer if isinstance(answer, dict) else {"message": answer}
        message = str(status_object.get("message") or "no reason given").strip().rstrip(".")
        details = status_object.get("details") or {}
        causes = details.get("causes") or []
        if status == 401:
            return Unauthorized(
                f"The API server {self.server} does not accept the credentials (401).",
                do="They are wrong or have expired: renew the token or the kubeconfig.",
                status=status,
            )
        if status == 403 and any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
            return Rejected(
                f"Nothing can be written to {path} (403): {message}.",
                do="Wait until the namespace is gone, create it again, then run again.",
                status=status,
            )
        if status == 403:
            # The server knows better: a patch that would make the object needs `create`.
            named = re.search(r'cannot (\w+) resource "([\w./-]+)"', message)
            verb, resource = named.groups() if named else (verb, "this resource")
            return Forbidden(
                f"Not allowed to {verb} {path} (403): {message}.",
                do=f"Grant the verb '{verb}' on {resource} to the user of the kubeconfig.",
                status=status,
                verb=verb,
                path=path,
            )
        if status == 404 and details.get("kind") == "namespaces" and details.get("name"):
            return NotFound(
                f"Namespace {details['name']} does not exist (404).",
                do="Create it first, or correct its name.",
                status=status,
                kind="namespaces",
            )
        if status == 404:
            return NotFound(f"{path} does not exist (404): {message}.", status=status)
        if status == 409:
            return Conflict(
                f"Somebody else changed or owns {path} (409): {message}.",
                do="Run again: the new state is read first.",
                status=status,
                causes=causes,
            )
        # Server-side apply answers 500 to a field that the schema does not have.
        if status in (400, 415, 422) or (status == 500 and "field not declared in schema" in message):
            return Rejected(f"The API server refuses {path} ({status}): {message}.", status=status)
        if status >= 500 and "failed calling webhook" in message:
            return Unreachable(
                f"An admission webhook did not answer when writing {path} ({status}): {message}.",
                do="For Istio's kinds that is istiod: check that it runs, then run again.",
                status=status,
            )
        if status == 429 or status >= 500:
            return Unreachable(
                f"The API server {self.server} kept answering {status} to {verb} {path}: {message}.",
                do="Nothing more was tried. Run again when it has recovered: what is done is found done.",
                status=status,
            )
        return ClusterError(f"The API server answered {status} to {verb} {path}: {message}.", status=status)
