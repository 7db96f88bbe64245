# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that somebody hostile, or somebody in a hurry, gives: a sentence, in bounded time and memory."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import tracemalloc
import typing as t
from pathlib import Path

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._source import files
from ansible_collections.meshops.locality.plugins.module_utils._source.manifests import MAX_DUPLICATES, read
from ansible_collections.meshops.locality.plugins.module_utils._source.yaml_documents import Duplicate, documents

RULE = "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: r, namespace: n}, spec: {host: h}}"


def unread_and_assumed(*paths: Path) -> tuple[int, str]:
    content = read([str(path) for path in paths])
    unread = [f"{entry.code} {entry.what}" for entry in content.unread_input.not_judged([])]
    return len(content.objects), " ".join(
        [*map(str, content.problems), *(assumption.text for assumption in content.assumptions), *unread]
    )


def test_what_is_no_file_is_named_and_hangs_nobody(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RULE)
    os.mkfifo(tmp_path / "x.yaml")
    (tmp_path / "null.yaml").symlink_to("/dev/null")
    (tmp_path / "nowhere.yaml").symlink_to(tmp_path / "absent")
    (tmp_path / "itself.yaml").symlink_to(tmp_path / "itself.yaml")
    number, text = unread_and_assumed(tmp_path)
    assert number == 1
    for what in (
        "x.yaml (a FIFO)",
        "null.yaml (a device)",
        "nowhere.yaml (No such file",
        "itself.yaml (Too many levels",
    ):
        assert what in text
    for given, why in [("x.yaml", "a FIFO"), ("null.yaml", "a device")]:
        with pytest.raises(InvalidInput, match=f"is no file but {why}"):
            read([str(tmp_path / given)])


def test_linked_folders_are_read_once_and_loops_end(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "r.YAML").write_text(RULE)
    (inside / "linked").symlink_to(outside)
    (outside / "back").symlink_to(inside)
    (inside / "self").symlink_to(inside)
    number, text = unread_and_assumed(inside)
    assert (number, text) == (1, "")


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "r.yaml").write_text(RULE)
    (tmp_path / "closed").mkdir()
    listed = os.listdir

    def closed(path: Path) -> list[str]:  # root may read everything
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "listdir", closed)
    with pytest.raises(InvalidInput, match="closed cannot be read: Permission denied"):
        read([str(tmp_path)])


@pytest.mark.parametrize("fails", ["open", "read"])
def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    (tmp_path / "closed.yaml").write_text(RULE)
    opened = os.open

    def closed(path: Path, *flags: int) -> int:  # root may read everything
        if path.name != "closed.yaml":
            return opened(path, *flags)
        if fails == "open":
            raise PermissionError(13, "Permission denied")
        # It may be opened, and its content cannot be read.
        return opened(path, os.O_WRONLY)

    monkeypatch.setattr(os, "open", closed)
    why = {"open": "Permission denied", "read": "Bad file descriptor"}[fails]
    with pytest.raises(InvalidInput, match=rf"closed\.yaml cannot be read: {why}"):
        read([str(tmp_path)])


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_ENTRIES", 10)
    for number in range(11):
        (tmp_path / f"{number}.txt").touch()
    with pytest.raises(InvalidInput, match="holds more than 10 files"):
        read([str(tmp_path)])


@pytest.mark.parametrize("name", ["large.yaml", "large.json"])
def test_a_hundred_megabytes_of_yaml_are_a_sentence(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    with file.open("wb") as stream:
        stream.truncate(100 * 1024 * 1024)
        stream.write(b"a: b")
    start = time.process_time()
    tracemalloc.start()
    with pytest.raises(InvalidInput, match="more than 32 MiB of YAML"):
        read([str(file)])
    assert tracemalloc.get_traced_memory()[1] < 600 * 1024 * 1024
    tracemalloc.stop()
    assert time.process_time() - start < 20


def test_a_terabyte_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "sparse.json"
    with file.open("wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(InvalidInput, match="has 1048576 MiB, and only 256 MiB more are read"):
        read([str(file)])


def test_keys_that_stand_twice_take_linear_time() -> None:
    """A million keys with one duplicate took hours."""
    text = "{" + ",".join(f'"{number}":1' for number in range(1_000_000)) + ',"7":2}'
    duplicates: list[Duplicate] = []
    start = time.process_time()
    list(documents(text, "x", duplicates))
    assert time.process_time() - start < 20
    assert duplicates == [Duplicate("7", 0)]


def test_not_every_duplicate_is_a_line(tmp_path: Path) -> None:
    keys = ",".join(f'"{number}":1,"{number}":2' for number in range(1000))
    (tmp_path / "x.json").write_text("{" + keys + "}")
    content = read([str(tmp_path)])
    assert len(content.problems) == MAX_DUPLICATES + 1
    assert "950 more keys stand twice" in str(content.problems[-1])


def test_a_file_that_is_written_meanwhile(tmp_path: Path) -> None:
    file = tmp_path / "growing.yaml"
    file.write_text(RULE)
    ended = threading.Event()

    def write() -> None:
        with file.open("a") as stream:
            while not ended.is_set():
                stream.write("\n# more")
                stream.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _attempt in range(50):
            # Either a whole state of it, or the sentence; never half a line.
            with contextlib.suppress(InvalidInput):
                assert files.read_bytes(file, 2**30).decode().startswith(RULE)
    finally:
        ended.set()
        writer.join()


def rewritten(file: Path, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let somebody write the file anew between the look at it and its reading, so many times."""
    looked = os.fstat
    written: list[str] = []

    def look(descriptor: int) -> os.stat_result:
        seen = looked(descriptor)
        if len(written) < times:
            written.append(f"# {len(written)}\n" * (len(written) + 1))
            file.write_text(written[-1])
        return seen

    monkeypatch.setattr(os, "fstat", look)


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "changing.yaml"
    file.write_text(RULE)
    rewritten(file, monkeypatch, 3)
    assert files.read_bytes(file, 2**20) == b"# 2\n" * 3


def test_a_file_that_never_stays_the_same_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "changing.yaml"
    file.write_text(RULE)
    rewritten(file, monkeypatch, 1000)
    with pytest.raises(InvalidInput, match=r"changing\.yaml is being written while it is read"):
        files.read_bytes(file, 2**20)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"apiVersion": "networking.istio.io/v1", "kind": "DestinationRules"}, "DestinationRule is meant"),
        ({"apiVersion": "networking.istio.io/v1", "kind": "Destinationrule"}, "DestinationRule is meant"),
        ({"apiVersion": "networking.istio.oi/v1", "kind": "DestinationRule"}, "apiVersion networking.istio.oi/v1"),
        ({"apiVersion": "networking.istio.io/v1aplha3", "kind": "Sidecar"}, "apiVersion networking.istio.io/v1aplha3"),
        ({"kind": "DestinationRule"}, "no apiVersion"),
        ({"apiVersion": "networking.istio.io/v1"}, "no kind"),
    ],
)
def test_what_is_probably_misspelt_is_named(tmp_path: Path, given: dict[str, t.Any], says: str) -> None:
    (tmp_path / "r.json").write_text(json.dumps({**given, "metadata": {"name": "r"}, "spec": {"host": "h"}}))
    number, text = unread_and_assumed(tmp_path)
    assert number == 0
    assert "object-misspelt" in text
    assert says in text


def test_an_experimental_listener_set_is_named(tmp_path: Path) -> None:
    kind = {"apiVersion": "gateway.networking.x-k8s.io/v1alpha1", "kind": "XListenerSet", "spec": {}}
    (tmp_path / "set.json").write_text(json.dumps({**kind, "metadata": {"name": "more", "namespace": "shop"}}))
    (entry,) = read([str(tmp_path)]).unread_input.not_judged([])
    assert entry.what == "XListenerSet is not read: XListenerSet shop/more."
    assert entry.hides == "requests that enter by its listeners"
