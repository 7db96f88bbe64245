# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo`: on somebody's own cluster nothing is changed unasked; no setting of the caller's stops it."""

from __future__ import annotations

import builtins
import io
import os
import shlex
import signal
import subprocess
import sys
import typing as t
from pathlib import Path

import demo
import pytest
import yaml

from tests.conftest import BIN, ROOT, ansible_environment


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[[], list[str]]:
    """Programs that only write down how they are called; returns what was called."""
    calls = tmp_path / "calls"
    calls.touch()
    for name in ("ansible-playbook", "meshops-sandbox"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {shlex.quote(str(calls))}\nexit ${{FAKE_EXIT:-0}}\n')
        program.chmod(0o755)
    monkeypatch.setattr(demo, "BIN", tmp_path / "bin")
    monkeypatch.setattr(demo, "AREA", tmp_path / "area")
    monkeypatch.setattr(sys, "argv", ["demo.py"])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    for name in ("YES", "MESHOPS_YES", "KUBECONFIG", "FAKE_EXIT"):
        monkeypatch.delenv(name, raising=False)
    return lambda: calls.read_text().splitlines()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "my.kubeconfig"
    file.touch()
    monkeypatch.setenv("KUBECONFIG", str(file))
    return file


def plays(calls: list[str]) -> list[str]:
    """The playbooks of the calls: `ansible-playbook --inventory FILE PLAYBOOK …`."""
    return [call.split()[3] for call in calls if call.startswith("ansible-playbook")]


def test_without_a_terminal_an_own_cluster_is_only_looked_at(
    ran: t.Callable[[], list[str]], own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        demo.main()
    assert caught.value.code == 1
    assert plays(ran()) == ["meshops.locality.preview"]
    assert "set YES=1 to go on; nothing was changed" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["YES", "MESHOPS_YES"])
def test_yes_goes_on_on_the_own_cluster_and_needs_no_sandbox(
    ran: t.Callable[[], list[str]], own: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    monkeypatch.setattr(sys, "argv", ["demo.py", "-e", "x=1"])
    assert demo.main() == 0
    assert plays(ran()) == ["meshops.locality.preview", "meshops.locality.site"]
    assert all(call.endswith("-e x=1") for call in ran())
    assert not [call for call in ran() if call.startswith("meshops-sandbox")]
    written = yaml.safe_load((demo.AREA / "cluster.yml").read_text())
    assert written["all"]["hosts"] == {"cluster": {"kubeconfig": str(own)}}


@pytest.mark.parametrize(("answer", "goes_on"), [("yes", True), ("y", False), ("", False), (None, False)])
def test_on_a_terminal_only_yes_goes_on(
    ran: t.Callable[[], list[str]],
    own: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: str | None,
    goes_on: bool,
) -> None:
    def asked(_prompt: str) -> str:
        if answer is None:
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(builtins, "input", asked)
    if goes_on:
        assert demo.main() == 0
    else:
        with pytest.raises(SystemExit):
            demo.main()
    assert plays(ran()) == ["meshops.locality.preview", *["meshops.locality.site"][:goes_on]]


def test_a_preview_that_fails_ends_it_whatever_was_said(
    ran: t.Callable[[], list[str]], own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YES", "1")
    monkeypatch.setenv("FAKE_EXIT", "4")
    with pytest.raises(SystemExit) as caught:
        demo.main()
    assert caught.value.code == 4
    assert plays(ran()) == ["meshops.locality.preview"]


@pytest.mark.parametrize(("value", "sentence"), [("/a:/b", "several files"), ("/nowhere/config", "is not a file")])
def test_a_kubeconfig_that_is_none_stops_before_anything(
    ran: t.Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    value: str,
    sentence: str,
) -> None:
    monkeypatch.setenv("KUBECONFIG", value)
    with pytest.raises(SystemExit):
        demo.main()
    assert ran() == []
    assert sentence in capsys.readouterr().err


def test_without_a_kubeconfig_it_is_the_sandbox_called_default(
    ran: t.Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESHOPS_SANDBOX_NAME", "another")
    assert demo.main() == 0
    assert ran()[:2] == ["meshops-sandbox up --name default", "meshops-sandbox inventory --name default"]
    assert plays(ran()) == ["meshops.locality.site"]


def test_it_ends_with_where_the_pages_are(
    ran: t.Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The playbook is stood in for by what it leaves in the folder that it was named."""

    def left(_name: str, _inventory: Path, *arguments: str) -> int:
        folder = Path(arguments[1].removeprefix("site_evidence=")) / "sandbox"
        page = folder / "drills" / "1" / "report.html"
        page.parent.mkdir(parents=True)
        page.touch()
        (page.parent / "drill.json").write_text('{"outcome": "FAILED", "title": "rule as written"}')
        (folder / "assessment.html").touch()
        return 2

    monkeypatch.setattr(demo, "playbook", left)
    monkeypatch.chdir(tmp_path)
    assert demo.main() == 2
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:4] for line in lines if line and line[-1].endswith("report.html")] == [
        ["FAILED", "rule", "as", "written"]
    ]
    (page,) = (line[-1] for line in lines if line and line[-1].endswith("assessment.html"))
    assert page.startswith("area/")
    assert Path(page).exists()


def test_ansible_starts_whatever_the_callers_environment_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("LANG", "xx_XX.UTF-8")
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(tmp_path))
    monkeypatch.setenv("K8S_AUTH_KUBECONFIG", "/nowhere")
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    for environment in (demo.environment(), ansible_environment(tmp_path)):
        assert not {"KUBECONFIG", "K8S_AUTH_KUBECONFIG"} & set(environment)
        command = [str(BIN / "ansible-doc"), "--list", "meshops.locality", "--json"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "meshops.locality.node_topology" in done.stdout


def test_an_interruption_is_told_when_the_program_has_cleaned_up(tmp_path: Path) -> None:
    """As on a terminal, Ctrl-C reaches both: the program that is run takes its time, and is waited for."""
    program = tmp_path / "slow"
    program.write_text(
        "#!/bin/sh\ntrap 'sleep 1; touch cleaned-up; exit 99' INT\ntouch ready\nwhile :; do sleep 0.1; done\n"
    )
    program.chmod(0o755)
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'tools')!r}); import demo; from pathlib import Path\n"
    code += f"demo.ROOT = Path({str(tmp_path)!r})\n"
    code += f"try: demo.call([{str(program)!r}])\nexcept KeyboardInterrupt: sys.exit(130)"
    process = subprocess.Popen([sys.executable, "-c", code], process_group=0)
    while not (tmp_path / "ready").exists():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert (tmp_path / "cleaned-up").exists()
