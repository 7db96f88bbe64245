# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all modules have in common: the options for a cluster, one call, one place that turns errors into `fail_json`.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import os
import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.meshops.locality.plugins.module_utils._errors import LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._kube.secrets import given_secrets, spellings
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_names import (
    check_environment,
    check_names,
)

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

#: Options of doc_fragments/auth.py, spelled as in kubernetes.core (a unit test compares both with AUTH_ARG_SPEC).
AUTH_SPEC: dict[str, dict[str, t.Any]] = {
    "kubeconfig": {"type": "raw"},
    "context": {},
    "host": {},
    "api_key": {"no_log": True},
    "username": {},
    "password": {"no_log": True},
    "validate_certs": {"type": "bool", "aliases": ["verify_ssl"]},
    "ca_cert": {"type": "path", "aliases": ["ssl_ca_cert"]},
    "client_cert": {"type": "path", "aliases": ["cert_file"]},
    "client_key": {"type": "path", "aliases": ["key_file"], "no_log": False},
    "proxy": {"type": "str"},
    "no_proxy": {"type": "str"},
    "proxy_headers": {
        "type": "dict",
        "options": {
            "proxy_basic_auth": {"type": "str", "no_log": True},
            "basic_auth": {"type": "str", "no_log": True},
            "user_agent": {"type": "str"},
        },
    },
    "persist_config": {"type": "bool"},
    "impersonate_user": {},
    "impersonate_groups": {"type": "list", "elements": "str"},
}

#: How long a request to the API server is tried again (doc_fragments/api_timeout.py).
API_TIMEOUT_SPEC: dict[str, dict[str, t.Any]] = {"api_timeout": {"type": "float", "default": 60}}

#: States that put back or take away what was changed, and how much longer than others they try.
PUT_BACK = frozenset(("absent", "previous", "restored", "unlabelled"))
PATIENCE = 3

Connect = t.Callable[[], "Cluster"]
Body = t.Callable[["Cluster", t.Mapping[str, t.Any], AnsibleModule], dict[str, t.Any]]


def run_module(body: Body, argument_spec: dict[str, dict[str, t.Any]], **kwargs: t.Any) -> None:
    """Run one module: `body(cluster, params, module)` returns the result, or raises a LocalityError.

    `kwargs` go to AnsibleModule (`mutually_exclusive`, `required_if`, …); check mode is supported by all our modules.
    """
    run_anywhere(lambda module, connect: body(connect(), module.params, module), argument_spec, **kwargs)


def run_anywhere(
    body: t.Callable[[AnsibleModule, Connect], dict[str, t.Any]],
    argument_spec: dict[str, dict[str, t.Any]],
    **kwargs: t.Any,
) -> None:
    """Run a module that may do without a cluster: its body is given a function that connects, for when it wants one."""
    # no_log: the invocation is not written to syslog, where a kubeconfig given as a dictionary would show its secrets.
    spec = {**argument_spec, **AUTH_SPEC, **API_TIMEOUT_SPEC}
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True, no_log=True, **kwargs)
    module.no_log_values.update(spellings(given_secrets(module.params, os.environ)))
    try:
        check_names(spec, module.params)
        result = body(module, lambda: _connected(module))
    except LocalityError as error:
        module.fail_json(msg=str(error), error=type(error).__name__, **error.details)
    except Exception as error:
        # Not let out: Ansible would print the traceback as it is, with whatever a library put into its message.
        module.fail_json(
            msg=f"This is an error of the module itself, please report it. {type(error).__name__}: {error}",
            error=type(error).__name__,
            exception=traceback.format_exc(),
        )
    else:
        module.exit_json(**result)


def run_offline(
    body: t.Callable[[AnsibleModule], dict[str, t.Any]], argument_spec: dict[str, dict[str, t.Any]], **kwargs: t.Any
) -> None:
    """Run a module that has no cluster at all."""
    module = AnsibleModule(argument_spec=argument_spec, supports_check_mode=True, **kwargs)
    try:
        result = body(module)
    except LocalityError as error:
        module.fail_json(msg=str(error), error=type(error).__name__, **error.details)
    else:
        module.exit_json(**result)


def _connected(module: AnsibleModule) -> Cluster:
    """Return the cluster that the module's options name; ends the module when the library `kubernetes` is missing.

    Raises InvalidInput for a blank K8S_AUTH_KUBECONFIG, K8S_AUTH_CONTEXT and the like.
    """
    check_environment(os.environ)
    try:
        import kubernetes  # noqa: F401
    except ImportError:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=traceback.format_exc())
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import connect

    cluster = connect(module)
    if module.params.get("state") in PUT_BACK:
        # Nothing is worth more patience than what puts back or takes away what was changed.
        return cluster.patient(PATIENCE)
    return cluster
