# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the evidence folder of a drill, or checks one.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import json
import os
import tempfile
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.meshops.locality.plugins.module_utils._charts.vega_svg import vega_svg
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_evidence import (
    FILES,
    evidence_files,
    problems,
)
from ansible_collections.meshops.locality.plugins.module_utils._source.files import read_bytes

#: No file of a drill is larger; its journal grows with its length.
MAX_BYTES = 256 * 1024 * 1024
DRILL = "Give the drill.json of a drill, or its folder."


class Evidence(t.NamedTuple):
    """What was written: the names of the files, whether one of them changed, and what is missing in them."""

    files: list[str]
    changed: bool
    notes: list[str]


def write_evidence(document: t.Any, folder: Path, *, check_mode: bool = False) -> Evidence:
    """Write the files of a drill into a folder, which is made where it is missing; the manifest is the last.

    `document` is a drill as _report/drill_schema.py says. Each file replaces an older one at once or not at all. Raises
    InvalidInput when the document is something else, or the folder cannot be written.
    """
    files, notes = evidence_files(document, vega_svg)
    changed = False
    try:
        if not check_mode:
            folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            path = folder / name
            data = text.encode()
            if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
                continue
            changed = True
            if not check_mode:
                _replace(path, text)
    except OSError as error:
        raise InvalidInput(
            f"The evidence folder {folder} cannot be written: {error}.", do="Name another folder."
        ) from error
    return Evidence(list(files), changed, notes)


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def drill_report(module: AnsibleModule) -> dict[str, t.Any]:
    """Return the module's result: the folder and its files. Raises InvalidInput."""
    path = Path(module.params["path"]).expanduser()
    given = path if path.is_dir() else path.parent
    if module.params["state"] == "verified":
        return _verified(given)
    file = path / "drill.json" if path.is_dir() else path
    try:
        document = json.loads(read_bytes(file, MAX_BYTES, do=DRILL))
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} cannot be read: {error}.", do=DRILL) from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{file} is no JSON: {error}.", do=DRILL) from error
    folder = Path(module.params["folder"]).expanduser() if module.params["folder"] else given
    written = write_evidence(document, folder, check_mode=module.check_mode)
    for note in written.notes:
        module.warn(note)
    return {
        "changed": written.changed,
        "folder": str(folder),
        "files": written.files,
        "report": str(folder / "report.html"),
        "outcome": document["outcome"],
        "problems": [],
    }


def _verified(folder: Path) -> dict[str, t.Any]:
    texts = {}
    for name in FILES:
        if not os.path.lexists(folder / name):
            continue
        try:
            texts[name] = read_bytes(folder / name, MAX_BYTES, do=DRILL).decode()
        except UnicodeDecodeError:
            texts[name] = ""
    wrong = problems(texts)
    if wrong:
        raise InvalidInput(
            f"The evidence in {folder} is not what the drill wrote: {' '.join(wrong)}",
            do="Take the copy that was stored first, or make the report again from drill.json.",
            problems=wrong,
        )
    return {
        "changed": False,
        "folder": str(folder),
        "files": list(texts),
        "report": str(folder / "report.html"),
        "outcome": json.loads(texts["drill.json"])["outcome"],
        "problems": [],
    }
