# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that talks to an API server.

Credentials come from kubernetes.core's own code, so every option and every K8S_AUTH_* variable means what its users
know. Requests are plain JSON over the pool that the `kubernetes` library configures: no discovery (the kinds are
constants), no typed models (2–3 times slower on large lists). What passes is tried again, see _kube/request_retries.py.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import contextlib
import copy
import json
import re
import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

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
from ansible_collections.meshops.locality.plugins.module_utils._kube.request_retries import (
    API_TIMEOUT,
    NOT_DONE,
    STRANGE,
    STRANGE_TRIES,
    UNAUTHORIZED_TRIES,
    RequestRetries,
    passes,
    reason_of,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.secrets import (
    configuration_secrets,
    header_secrets,
    masked,
    spellings,
)

# Ansible loads every module_utils file without third-party libraries; run_module says that they are missing.
with contextlib.suppress(ImportError):
    import kubernetes
    import urllib3
    import yaml

if t.TYPE_CHECKING:
    import builtins

    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import Kind

FIELD_MANAGER = "meshops.locality"
PAGE = 500
WORKERS = 16
#: Seconds that one try may take to connect, and to be answered.
CONNECT_SECONDS, READ_SECONDS = 5.0, 30.0

Json = dict[str, t.Any]
Item = t.TypeVar("Item")
Result = t.TypeVar("Result")


def connect(module: AnsibleModule) -> Cluster:
    """Return the cluster that the module's options, the environment or the default kubeconfig name.

    No request is sent. Raises InvalidInput when there is no usable configuration.
    """

    # get_api_client() would do the same and then read the whole discovery without retries.
    def configuration() -> kubernetes.client.Configuration:
        auth: Json = {}
        try:
            auth = core_client._create_auth_spec(module)
            created = core_client._create_configuration(auth)
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
        created.connection_pool_maxsize = WORKERS
        module.no_log_values.update(spellings(configuration_secrets(created)))
        return t.cast("kubernetes.client.Configuration", created)

    headers = core_client._create_headers(module)
    api = kubernetes.client.ApiClient(configuration())
    return Cluster(
        api,
        headers,
        api_timeout=float(module.params.get("api_timeout") or 0),
        renew=lambda: kubernetes.client.ApiClient(configuration()),
        secrets=module.no_log_values,
    )


@dataclass
class _Connection:
    """What all copies of one Cluster share. `renew` reads the configuration again, for credentials that expired."""

    api: kubernetes.client.ApiClient
    renew: t.Callable[[], kubernetes.client.ApiClient] | None = None
    #: The credentials were accepted once: when they are refused later, they have expired.
    accepted: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class Cluster:
    """Reads and writes objects as plain JSON; every error is one of `_errors.ClusterError`.

    `api_timeout`: seconds for which one request is tried again while the API server answers 429 or 5xx, cannot be
    reached or breaks off. A repeated write does no harm: each is an apply, a patch guarded by resourceVersion, a patch
    that sets one annotation to the same value again, a delete, or a create whose outcome is looked up. When an answer
    got lost and the repetition finds the object changed (409, 404), it is read to see whether that was ourselves.
    """

    def __init__(
        self,
        api: kubernetes.client.ApiClient,
        headers: t.Mapping[str, t.Any],
        *,
        api_timeout: float = API_TIMEOUT,
        renew: t.Callable[[], kubernetes.client.ApiClient] | None = None,
        secrets: set[str] | None = None,
    ) -> None:
        self._connection = _Connection(api, renew)
        self._hidden = ""
        self._secrets = set() if secrets is None else secrets
        self._api_timeout = api_timeout
        self._deadline: float | None = None
        self._impersonation = [
            (name, str(value))
            for name, given in headers.items()
            for value in (given if isinstance(given, list) else [given])
        ]

    @property
    def configuration(self) -> kubernetes.client.Configuration:
        """The configuration that the requests are made with now."""
        return t.cast("kubernetes.client.Configuration", self._connection.api.configuration)

    def until(self, deadline: float) -> Cluster:
        """Return the same cluster with the time limit of a restore: whatever fails is tried again until `deadline`, a
        time.monotonic(), also credentials that were accepted before and are not any more.
        """
        patient = copy.copy(self)
        patient._deadline = deadline
        return patient

    def patient(self, times: float) -> Cluster:
        """Return the same cluster, each of whose requests is tried again for so many times as long."""
        patient = copy.copy(self)
        patient._api_timeout *= times
        return patient

    @property
    def restoring(self) -> bool:
        """Whether it has the time limit of a restore."""
        return self._deadline is not None

    def new_retries(self) -> RequestRetries:
        """Return the tries of one request that begins now."""
        left = self._api_timeout if self._deadline is None else self._deadline - time.monotonic()
        return RequestRetries(left)

    def renewed(self, retries: RequestRetries) -> bool:
        """After a 401: read the credentials again. Whether the request is to be sent again, after a pause."""
        number = retries.reasons.count("answer 401")
        if number >= UNAUTHORIZED_TRIES - 1 and not (self.restoring and self._connection.accepted):
            return False
        with self._connection.lock:
            if self._connection.renew:
                with contextlib.suppress(InvalidInput):  # half written: the next try reads it again
                    self._connection.api = self._connection.renew()
        return retries.again("answer 401")

    @property
    def server(self) -> str:
        """The URL of the API server, without user and password."""
        url = str(self.configuration.host).rstrip("/")
        parts = urlsplit(url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else url

    def _hide(self, authorization: str) -> None:
        """Keep a token out of all output, also one that an exec plugin has just renewed."""
        if authorization != self._hidden:
            self._hidden = authorization
            self._secrets.update(spellings(header_secrets({"Authorization": authorization})))

    def masked(self, value: t.Any) -> t.Any:
        """Return plain values without the secrets that are known by now."""
        return masked(value, frozenset(self._secrets))

    def headers(self) -> urllib3.HTTPHeaderDict:
        """Return the headers that authenticate one request; a token from an exec plugin is renewed here."""
        headers = urllib3.HTTPHeaderDict({"Accept": "application/json", "User-Agent": FIELD_MANAGER})
        for name, value in self._impersonation:
            headers.add(name, value)
        settings: t.Mapping[str, t.Any] = self.configuration.auth_settings()
        for setting in settings.values():
            if setting["in"] == "header" and setting["value"]:
                headers[setting["key"]] = setting["value"]
        self._hide(headers.get("Authorization", ""))
        return urllib3.HTTPHeaderDict([(name, _header(name, value)) for name, value in headers.items()])

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
        """Send one request about an object and return the object that is answered.

        `verb` is the word RBAC has for it (get, list, patch, …): it goes into the message of a 403.
        """
        return self._send(verb, method, path, query, body, content_type, read=_json_object)

    def discovery(self, path: str) -> Json:
        """Read what the API server says about itself (/version, /apis and below), which is no object."""
        return self._send("get", "GET", path, read=_json_mapping)

    def text(self, verb: str, path: str, *, query: t.Mapping[str, t.Any] | None = None) -> str:
        """Read something that is not JSON (the log of a container)."""
        return self._send(verb, "GET", path, query, read=bytes).decode("utf-8", "replace")

    def _send(
        self,
        verb: str,
        method: str,
        path: str,
        query: t.Mapping[str, t.Any] | None = None,
        body: t.Any = None,
        content_type: str = "",
        packed: bool = False,
        *,
        read: t.Callable[[bytes], Result],
    ) -> Result:
        """Send one request, again and again while that may help, and return what `read` makes of the answer.

        An error has `unheard` set when a try before it may have been done although its answer did not come.
        """
        url = self.server + path
        if query:
            url += "?" + urlencode({key: value for key, value in query.items() if value not in (None, "")})
        data = None if body is None else json.dumps(body)
        retries = self.new_retries()
        unheard = False
        while True:
            headers = self.headers()
            if packed:
                headers["Accept-Encoding"] = "gzip"
            if data is not None:
                headers["Content-Type"] = content_type
            error: ClusterError
            try:
                response = self._connection.api.rest_client.pool_manager.request(
                    method,
                    url,
                    body=data,
                    headers=headers,
                    timeout=_timeout(retries),
                    retries=False,
                    redirect=False,
                    enforce_content_length=True,
                )
            except urllib3.exceptions.HTTPError as cause:
                unheard = unheard or not isinstance(cause, urllib3.exceptions.NewConnectionError)
                if _passes(cause) and retries.again(reason_of(cause)):
                    continue
                error = self._unreachable(cause, retries)
                error.unheard = unheard
                raise error from cause
            if 200 <= response.status <= 299:
                self._connection.accepted = True
                try:
                    if "html" in response.headers.get("Content-Type", "").lower():
                        raise ValueError("a page, where the API answers JSON, or plain text for a log")
                    return read(response.data)
                except ValueError as cause:
                    unheard = True
                    enough = retries.reasons.count(STRANGE) >= STRANGE_TRIES - 1 and not self.restoring
                    if not enough and retries.again(STRANGE):
                        continue
                    error = self.strange(f"{method} {path}", response.status, response.data)
                    error.unheard = unheard
                    raise error from cause
            error = self.failure(verb, path, response.status, response.data)
            if response.status == 401 and self.renewed(retries):
                continue
            if passes(response.status) and isinstance(error, Unreachable):
                unheard = unheard or response.status not in NOT_DONE
                if retries.again(f"answer {response.status}", response):
                    continue
                error = self.failure(verb, path, response.status, response.data, retries)
            error.unheard = unheard
            raise error

    def user(self) -> str:
        """Return who we are to the API server (SelfSubjectReview), "" where it does not say (before 1.28)."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        try:
            answer = self.request("create", "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=body)
        except (NotFound, Forbidden):
            return ""
        return str(((answer.get("status") or {}).get("userInfo") or {}).get("username") or "")

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
        if labels == "" or fields == "":
            raise InvalidInput("An empty selector would match everything.", do="Leave it out to mean that.")
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
            return self._send("list", "GET", path, {**query, "continue": token}, packed=True, read=_json_text)

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
                    raise self.strange(f"GET {path}", 200, data) from error
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
        self,
        kind: Kind,
        name: str,
        body: Json,
        namespace: str | None = None,
        *,
        manager: str = FIELD_MANAGER,
        dry_run: bool = False,
    ) -> Json:
        """JSON merge patch (RFC 7386): a null removes a key. With `metadata.resourceVersion` it is guarded: 409."""
        try:
            return self.request(
                "patch",
                "PATCH",
                kind.path(namespace, name),
                query={"fieldManager": manager, "dryRun": "All" if dry_run else None},
                body=body,
                content_type="application/merge-patch+json",
            )
        except Conflict as error:
            return self._done_before(error, kind, name, namespace, body)

    def create(self, kind: Kind, body: Json, *, manager: str = FIELD_MANAGER, dry_run: bool = False) -> Json:
        """Create one object and return it. Raises Conflict when there is one of this name already."""
        metadata = body["metadata"]
        namespace = metadata.get("namespace")
        try:
            return self.request(
                "create",
                "POST",
                kind.path(namespace),
                query={
                    "fieldManager": manager,
                    "fieldValidation": "Strict",
                    "dryRun": "All" if dry_run else None,
                },
                body={"apiVersion": kind.api_version, "kind": kind.kind, **body},
            )
        except Conflict as error:
            return self._done_before(error, kind, metadata["name"], namespace, body)

    def _done_before(self, error: Conflict, kind: Kind, name: str, namespace: str | None, body: Json) -> Json:
        """Return the object when a try whose answer got lost has written `body`; else raise the error."""
        live = self.get(kind, name, namespace) if error.unheard else None
        metadata = {key: value for key, value in body["metadata"].items() if key != "resourceVersion"}
        if live is None or not contains(live, {**body, "metadata": metadata}):
            raise error
        return live

    def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        dry_run: bool = False,
    ) -> bool:
        """Delete one object; False when it was not there. With `uid` or `resource_version` only this very one: 409."""
        body: Json = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if guard := {key: value for key, value in (("uid", uid), ("resourceVersion", resource_version)) if value}:
            body["preconditions"] = guard
        if dry_run:
            # Not as a query: next to a body the API server reads no options from there, and deletes for good.
            body["dryRun"] = ["All"]
        try:
            self.request("delete", "DELETE", kind.path(namespace, name), body=body)
        except NotFound as error:
            return error.unheard
        return True

    def map(
        self, function: t.Callable[[Item], Result], items: t.Sequence[Item], workers: int = WORKERS
    ) -> builtins.list[Result]:
        """Call `function` for every item, at most `workers` at a time; the results keep the order of the items."""
        if not items:
            return []
        with ThreadPoolExecutor(max_workers=max(1, min(workers, WORKERS, len(items)))) as pool:
            return list(pool.map(function, items))

    def _unreachable(self, error: Exception, retries: RequestRetries) -> Unreachable:
        tries = "" if retries.tries < 2 else f" {retries.tries_text()}"
        return Unreachable(
            f"No answer from the API server {self.server}{tries}: {reason_of(error)}.",
            do="Check the address in the kubeconfig, the network and that the server runs, then run again.",
        )

    def strange(self, asked: str, status: int, data: bytes) -> ClusterError:
        """Return the error for an answer that is not one of the Kubernetes API, in one sentence."""
        text = re.sub(r"(?s)<(script|style)\b.*?</\1>|<[^>]*>", " ", data[:4000].decode("utf-8", "replace"))
        words = self.masked(" ".join(re.sub(r"[^\x20-\x7e\u00a0-\uffff]+", " ", text).split()))[:80]
        shown = f' ("{words}")' if words else ""
        return ClusterError(
            f"What answered {asked} at {self.server} with {status} is not the Kubernetes API{shown}.",
            do="Check the address in the kubeconfig: is there a proxy or a login page in front of the API server?",
            status=status,
        )

    def failure(
        self, verb: str, path: str, status: int, data: bytes, retries: RequestRetries | None = None
    ) -> ClusterError:
        """Turn an error answer into the exception that says what to do about it.

        `retries`: the tries before, all in vain.
        """
        try:
            answer = json.loads(data)
        except ValueError:
            if data.lstrip()[:1] == b"<":
                strange = self.strange(f"{verb} {path}", status, data)
                if passes(status):
                    tried = f" It was tried {retries.tries_text()}." if retries else ""
                    return Unreachable(f"{strange.what}{tried}", do=strange.do, status=status)
                return strange
            answer = self.masked(data[:4000].decode("utf-8", "replace"))[:200]
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
        if status >= 500 and "unable to upgrade connection" in message:
            return ClusterError(f"The container of {path} cannot be entered ({status}): {message}.", status=status)
        if status >= 500 and "failed calling webhook" in message:
            return Unreachable(
                f"An admission webhook did not answer when writing {path} ({status}): {message}.",
                do="For Istio's kinds that is istiod: check that it runs, then run again.",
                status=status,
            )
        if status == 429 or status >= 500:
            answered = f"kept answering {status}" if retries and retries.tries > 1 else f"answered {status}"
            tries = f" {retries.tries_text()}" if retries and retries.tries > 1 else ""
            return Unreachable(
                f"The API server {self.server} {answered} to {verb} {path}{tries}: {message}.",
                do="Run again when it has recovered: what is done is found done.",
                status=status,
            )
        return ClusterError(f"The API server answered {status} to {verb} {path}: {message}.", status=status)


def contains(live: t.Any, given: t.Any) -> bool:
    """Whether an object holds everything of `given`, as a merge patch would have left it (None: is not there)."""
    if isinstance(given, dict):
        if not isinstance(live, dict):
            return False
        return all(
            (key not in live or live[key] is None) if value is None else contains(live.get(key), value)
            for key, value in given.items()
        )
    return bool(live == given)


def _header(name: str, value: str) -> str:
    """Return a header's value without white space around it, as client-go reads a token: files often end with a line.

    Raises InvalidInput, without the value, for one that cannot be sent.
    """
    value = str(value).strip()
    if re.search(r"[\x00-\x1f\x7f]", value) or not value.isascii():
        raise InvalidInput(
            f"The header {name} for the API server holds a line break or another character that cannot be sent.",
            do="Look at the token, password or name in the kubeconfig, the options or K8S_AUTH_*.",
        )
    return value


def _timeout(retries: RequestRetries) -> urllib3.Timeout:
    """Return how long one try may take: not much beyond the end of the retries."""
    left = max(1.0, retries.left)
    return urllib3.Timeout(connect=min(CONNECT_SECONDS, left), read=min(READ_SECONDS, left))


def _passes(error: Exception) -> bool:
    """Whether a failed connection may do better the next time. A certificate does not become right by asking again."""
    exceptions = urllib3.exceptions
    if isinstance(error, exceptions.SSLError) or isinstance(getattr(error, "reason", None), exceptions.SSLError):
        return "certificate" not in str(error).lower() and "hostname" not in str(error).lower()
    passing = (
        exceptions.ProtocolError,
        exceptions.TimeoutError,
        exceptions.NewConnectionError,
        exceptions.ProxyError,
        exceptions.DecodeError,
    )
    return isinstance(error, passing)


def _json_object(data: bytes) -> Json:
    """Return the object of an answer. Raises ValueError for what is none of the API's, as the JSON of a proxy.

    Each of its objects has a kind and metadata, empty ones included.
    Source: Kubernetes API conventions, "Types (Kinds)".
    """
    answer = _json_mapping(data)
    if not answer.get("kind") or not isinstance(answer.get("metadata"), dict):
        raise ValueError("no object of the Kubernetes API")
    return answer


def _json_mapping(data: bytes) -> Json:
    answer = json.loads(data)
    if not isinstance(answer, dict):
        raise ValueError("not an object")
    return answer


def _json_text(data: bytes) -> bytes:
    """Return the data of a list. Raises ValueError for what is no JSON object; its inside is read later."""
    if data.lstrip()[:1] != b"{":
        raise ValueError("not an object")
    return data
