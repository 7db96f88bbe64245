# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files a cluster is configured with, from the templates next to this module."""

from __future__ import annotations

from pathlib import Path

import jinja2

_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).resolve().parent / "templates"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # configuration files, not HTML
)


def render(template: str, **values: object) -> str:
    """Text of `templates/<template>` with `values`; raises jinja2.UndefinedError when one is missing."""
    return _environment.get_template(template).render(values)


def write(target: Path, template: str, **values: object) -> None:
    """Render `template` to the file `target`, making its directory."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(render(template, **values), encoding="utf-8")
