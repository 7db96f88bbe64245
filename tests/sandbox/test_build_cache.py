# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache: keys follow every input, entries appear whole or not at all, one build at a time."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from meshops_sandbox.build import versions
from meshops_sandbox.build.artifacts import BuildError
from meshops_sandbox.build.cache import Cache, key, root


def test_key_follows_texts_names_and_contents(tmp_path: Path) -> None:
    source = tmp_path / "main.go"
    source.write_text("a")
    seen = {key("v1", source)}
    seen.add(key("v2", source))
    seen.add(key(source, "v1"))
    source.write_text("b")
    seen.add(key("v1", source))
    seen.add(key("v1", source.rename(tmp_path / "other.go")))
    assert len(seen) == 5
    assert key("ab", "c") != key("a", "bc")


def test_key_of_a_directory_follows_what_is_in_it(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a").write_text("1")
    before = key(tree)
    assert key(tree) == before
    (tree / "sub").mkdir()
    (tree / "sub" / "b").write_text("2")
    assert key(tree) != before


def test_entry_appears_only_when_its_making_ends_well(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    final = cache.entry("thing", "0123")

    def fail() -> None:
        with cache.making(final) as scratch:
            (scratch / "part").write_text("x")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()
    assert not final.exists()
    assert list(cache.work.iterdir()) == []
    with cache.making(final) as scratch:
        assert not final.exists()
        (scratch / "whole").write_text("y")
    assert (final / "whole").read_text() == "y"
    assert list(cache.work.iterdir()) == []


def test_entry_that_is_there_already_is_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    final = cache.entry("thing", "0123")
    with cache.making(final) as scratch:
        (scratch / "first").touch()
    with cache.making(final) as scratch:
        (scratch / "second").touch()
    assert [path.name for path in final.iterdir()] == ["first"]
    assert list(cache.work.iterdir()) == []


_HOLD = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from meshops_sandbox.build.cache import Cache
    with Cache(Path(sys.argv[1])).locked(lambda: None):
        print("held", flush=True)
        time.sleep(60)
    """
)


def test_second_build_waits_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(versions.SANDBOX)},
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        started, got = threading.Event(), threading.Event()

        def second() -> None:
            with Cache(tmp_path).locked(started.set):
                got.set()

        thread = threading.Thread(target=second)
        thread.start()
        assert started.wait(5)
        assert not got.wait(0.3)
        holder.kill()
        assert got.wait(5)
        thread.join()
    finally:
        holder.kill()
        holder.wait()


def test_cache_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file" / "cache")
    with pytest.raises(BuildError, match=r"cannot be created: Not a directory; set MESHOPS_SANDBOX_CACHE"):
        cache.locked(lambda: None).__enter__()


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MESHOPS_SANDBOX_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert root() == tmp_path / ".cache" / "meshops-locality"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert root() == tmp_path / "xdg" / "meshops-locality"
    monkeypatch.setenv("MESHOPS_SANDBOX_CACHE", str(tmp_path / "own"))
    assert root() == tmp_path / "own"
