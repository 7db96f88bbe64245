# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all pages have in common: their head, signs, and the environment that fills templates.

The Content-Security-Policy of the head forbids any network and any script but the page's own.
Private to this collection: it may change at any time.
"""

from __future__ import annotations

import base64
import hashlib
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import LocalityError

HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline';
script-src '{{ script_hash }}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="generator" content="meshops.locality">
<title>{{ title }}</title>
<style>{{ style | safe }}</style></head>
<body>
"""

SIGNS = """
{%- set shapes = {
"check": '<path d="M5 12.5l4.5 4.5L19 7.5"/>', "cross": '<path d="M6 6l12 12M18 6L6 18"/>',
"pause": '<path d="M9 6v12M15 6v12"/>', "dots": '<path d="M6 12h.01M12 12h.01M18 12h.01"/>',
"up": '<path d="M12 19V6M6 12l6-6 6 6"/>', "bar": '<path d="M6 12h12"/>'} -%}
{%- macro sign(name) -%}
<svg viewBox="0 0 24 24" aria-hidden="true" focusable="false"><circle cx="12" cy="12" r="12" fill="var(--tone)"/>
<g fill="none" stroke="var(--tone-bg)" stroke-width="2.6" stroke-linecap="round"
stroke-linejoin="round">{{ shapes[name] | safe }}</g></svg>
{%- endmacro %}
"""


def page(template: str, title: str, style: str, script: str, values: t.Mapping[str, t.Any]) -> str:
    """Return the page that a template makes of values; everything in it is escaped but what the template calls safe.

    Raises LocalityError where Jinja2 is missing, which comes with ansible-core.
    """
    try:
        import jinja2
    except ImportError as error:
        raise LocalityError(
            "The Python library Jinja2 is missing, which makes the page.",
            do="Run the module with the Python of ansible-playbook (ansible_python_interpreter).",
        ) from error
    environment = jinja2.Environment(autoescape=True)
    environment.filters["utc"] = utc
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.from_string(template).render(
        **values, title=title, style=style, script=script, script_hash=f"sha256-{digest}"
    )


def utc(stamp: str) -> str:
    """Return an ISO 8601 time in UTC as people read it, to the second."""
    return f"{stamp[:10]} {stamp[11:19]} UTC"
