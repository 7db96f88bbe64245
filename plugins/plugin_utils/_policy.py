# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the filters that render a policy have in common.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.meshops.locality.plugins.module_utils._errors import LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._model.plain_values import plain
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent import OPTIONS, Intent
from ansible_collections.meshops.locality.plugins.module_utils._policy.offline_policy import checked

Manifest = dict[str, t.Any]


def rendered(name: str, render: t.Callable[[Intent], Manifest | None], policy: t.Any, endpoints: t.Any) -> Manifest:
    """Read a policy as the module reads its options, and return what `render` makes of it, {} for None.

    `name` is the filter's, for messages. Raises AnsibleFilterError for everything that is wrong with the arguments.
    """
    for what, value in (("the policy", policy), ("endpoints", {} if endpoints is None else endpoints)):
        if not isinstance(value, t.Mapping):
            raise AnsibleFilterError(f"{name}: {what} must be a dictionary, not {type(value).__name__}")
    result = ArgumentSpecValidator(OPTIONS).validate(plain(policy))
    if result.unsupported_parameters:
        unknown = ", ".join(sorted(str(option) for option in result.unsupported_parameters))
        raise AnsibleFilterError(f"{name}: unknown options {unknown}; there are {', '.join(OPTIONS)}")
    if result.error_messages:
        raise AnsibleFilterError(f"{name}: {'; '.join(result.error_messages)}")
    try:
        return render(checked(result.validated_parameters, endpoints)) or {}
    except LocalityError as error:
        raise AnsibleFilterError(f"{name}: {error}") from error
