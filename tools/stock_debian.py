# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox on a stock Debian, in a virtual machine: `stock_debian.py [--suite bookworm|trixie]`.

A root file system of Debian's own packages (mmdebstrap) with Debian's own kernel, systemd, cgroup v2 and AppArmor boots
in QEMU, and runs tests/stock_debian there: `up`, a request between two injected pods, `down`, and the whole machine is
compared with what it was before. Without hardware virtualisation that takes an hour, so no other command does it.

Exit code 0 when the tests passed in the machine, 1 when they did not, 3 when there was no machine to ask.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
from pathlib import Path

from meshops_sandbox import build
from meshops_sandbox.build import cache, packages
from meshops_sandbox.build.commands import Commands
from testrun.steps import LOGS, ROOT, WORK

AREA = WORK / "stock-debian"
#: Program -> Debian package, of this machine.
NEEDED = {"qemu-system-x86_64": "qemu-system-x86", "mmdebstrap": "mmdebstrap", "mkfs.ext4": "e2fsprogs"}
#: What a server has, what the sandbox needs, and what its set-up would install.
INSTALLED = (
    *("linux-image-cloud-amd64", "systemd-sysv", "systemd-timesyncd", "dbus", "udev", "kmod", "apparmor", "procps"),
    *("ca-certificates", "git", "make", "python3", "python3-venv"),
    *sorted(set(packages.RUNTIME.values())),
)
#: Where the project and what is built for the sandbox are in the machine.
PROJECT, CACHE = Path("/srv/locality"), Path("/srv/cache")
#: What pip needs of the environment where packages come from somewhere else than PyPI.
NETWORK = re.compile(r"(?i)(PIP_.*|(HTTPS?|ALL|NO)_PROXY)")
ENDED = re.compile(r"^stock-debian: the tests ended with (\d+)\s*$")
GIB = 1024**3
#: Timers that change files at a moment of their own choice.
MASKED = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer")

CHECK = f"""#!/bin/sh
# Runs in the machine as soon as it is up, and ends it.
cd {PROJECT}
echo "stock-debian: Debian $(cat /etc/debian_version), kernel $(uname -r), cgroups are $(stat -fc %T /sys/fs/cgroup)"
echo "stock-debian: AppArmor enabled: $(cat /sys/module/apparmor/parameters/enabled), $(containerd --version)"
echo "stock-debian: systemd is $(systemctl is-system-running), $(python3 --version), $(nproc) CPUs"
export HOME=/root LANG=C.UTF-8
.venv/bin/python -m pytest -n0 -v -s --tb=short --color=no -m stock_debian -o cache_dir=/tmp/pytest tests/stock_debian
echo "stock-debian: the tests ended with $?"
dmesg | grep -c 'apparmor="DENIED"' | sed 's/^/stock-debian: denials of AppArmor: /'
sync
systemctl poweroff --no-block
"""

UNIT = """[Unit]
Description=The sandbox on a stock Debian
After=multi-user.target

[Service]
Type=oneshot
Environment=MESHOPS_SANDBOX_PATIENCE={patience} MESHOPS_SANDBOX_CACHE={cache}
ExecStart=/usr/local/lib/stock-debian-check
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
TimeoutStartSec=infinity

[Install]
WantedBy=multi-user.target
"""


class NoMachine(Exception):
    """There is no machine to ask: the sentence says why."""


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"[{time.monotonic() - _BEGUN:6.0f} s] {text}", flush=True)


_BEGUN = time.monotonic()


def main() -> int:
    """Make the machine and return what its tests ended with."""
    given = arguments()
    if os.geteuid() != 0 or sys.platform != "linux":
        print("stock-debian: making a root file system needs Linux and root", file=sys.stderr)
        return 3
    try:
        install_needed()
        root = root_file_system(given.suite)
        disk = disk_image(root, given.suite, given.patience)
        return run(root, disk, given)
    except (NoMachine, build.BuildError) as error:
        print(f"stock-debian: {error}", file=sys.stderr)
        return 3


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="bookworm", choices=("bookworm", "trixie"), help="Debian 12 or 13 (12)")
    parser.add_argument("--accelerator", default="tcg", choices=("tcg", "kvm"), help="kvm where /dev/kvm works (tcg)")
    parser.add_argument("--memory", type=int, default=6, help="GiB of the machine (6)")
    parser.add_argument("--patience", type=int, default=15, help="MESHOPS_SANDBOX_PATIENCE in the machine (15)")
    parser.add_argument("--minutes", type=int, default=180, help="give up after so many (180)")
    return parser.parse_args()


def install_needed() -> None:
    """Install the Debian packages that are not here. Raises BuildError with their names when that does not work."""
    if absent := packages.missing(NEEDED):
        say(f"installing {', '.join(absent)}")
        LOGS.mkdir(parents=True, exist_ok=True)
        packages.install(absent, Commands(), LOGS / "stock-debian-packages.log", lambda _: None)


def root_file_system(suite: str) -> Path:
    """Debian's packages in a folder: made once for each suite and list of packages."""
    root = AREA / f"{suite}-{cache.key(suite, *INSTALLED, *MASKED)}"
    if root.is_dir():
        return root
    shutil.rmtree(AREA / suite, ignore_errors=True)
    AREA.mkdir(parents=True, exist_ok=True)
    say(f"a root file system of Debian's packages, {suite} (two minutes)")
    command = ["mmdebstrap", "--variant=apt", f"--include={','.join(INSTALLED)}", "--aptopt=Acquire::Retries 3"]
    checked([*command, suite, str(AREA / suite)], f"mmdebstrap-{suite}")
    for timer in MASKED:
        (AREA / suite / "etc" / "systemd" / "system" / timer).symlink_to("/dev/null")
    (AREA / suite).rename(root)
    return root


def disk_image(root: Path, suite: str, patience: int) -> Path:
    """A disk with that root file system, this checkout and its Python packages, and what is built for the sandbox."""
    say("what a sandbox is made of")
    build.ensure(report=build.PlainReport())
    with tempfile.TemporaryDirectory(dir=AREA, prefix=f"{suite}-") as folder:
        copied = Path(folder) / "root"
        checked(["cp", "--archive", "--reflink=auto", str(root), str(copied)], "copy")
        copy_project(copied)
        install_packages_of_python(copied)
        for name, text in (
            ("stock-debian-check", CHECK),
            ("stock-debian.service", UNIT.format(patience=patience, cache=CACHE)),
        ):
            service = name.endswith(".service")
            file = copied / ("etc/systemd/system" if service else "usr/local/lib") / name
            file.write_text(text, encoding="utf-8")
            file.chmod(0o644 if service else 0o755)
        # It would hang up the line that the tests write to.
        (copied / "etc" / "systemd" / "system" / "serial-getty@ttyS0.service").symlink_to("/dev/null")
        wants = copied / "etc" / "systemd" / "system" / "multi-user.target.wants"
        (wants / "stock-debian.service").symlink_to("/etc/systemd/system/stock-debian.service")
        (copied / "etc" / "hostname").write_text("stock-debian\n", encoding="utf-8")
        (copied / "etc" / "fstab").write_text("/dev/vda / ext4 defaults 0 1\n", encoding="utf-8")
        disk = AREA / f"{suite}.img"
        disk.unlink(missing_ok=True)
        say("the machine's disk")
        with disk.open("wb") as image:
            image.truncate(16 * GIB)
        checked(["mkfs.ext4", "-q", "-F", "-d", str(copied), str(disk)], "disk")
    return disk


def copy_project(root: Path) -> None:
    """Copy the files that git has of this checkout, and the finished things of the sandbox's cache."""
    names = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=True).stdout
    for name in filter(None, os.fsdecode(names).split("\0")):
        target = root / PROJECT.relative_to("/") / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            shutil.copy2(ROOT / name, target, follow_symlinks=False)
    entries = root / CACHE.relative_to("/") / "entries"
    entries.parent.mkdir(parents=True)
    checked(["cp", "--archive", str(cache.root() / "entries"), str(entries)], "copy-cache")


def install_packages_of_python(root: Path) -> None:
    """Make the .venv of the copied project with Debian's own Python, in the root file system: there is no network in
    the machine, and an emulated one would need an hour."""
    say("Python packages with that Debian's Python")
    certificates, names = root / "srv" / "certificates.pem", Path("/etc/resolv.conf")
    authorities = next(filter(None, map(os.environ.get, ("PIP_CERT", "SSL_CERT_FILE"))), None)
    environment = {name: value for name, value in os.environ.items() if NETWORK.fullmatch(name)}
    environment.update({"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"})
    environment.pop("PIP_FIND_LINKS", None)
    if authorities:
        shutil.copy(authorities, certificates)
        environment["PIP_CERT"] = "/srv/certificates.pem"
    shutil.copy(names, root / "etc" / "resolv.conf")
    inside = f"cd {shlex.quote(str(PROJECT))} && exec python3 tools/setup.py dev"
    checked(["chroot", str(root), "sh", "-c", inside], "python-packages", environment)
    certificates.unlink(missing_ok=True)
    shutil.rmtree(root / "root" / ".cache" / "pip", ignore_errors=True)


def checked(command: t.Sequence[str], name: str, environment: t.Mapping[str, str] | None = None) -> None:
    """Run a command whose output goes into a log; raise NoMachine with its last lines when it fails."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"stock-debian-{name}.log"
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False, env=environment)
    if done.returncode:
        last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
        raise NoMachine(f"{command[0]} ended with {done.returncode}; all of it is in {log}:\n{last}")


def newest(root: Path, prefix: str) -> Path:
    """The kernel, or its initial RAM disk."""
    files = sorted((root / "boot").glob(f"{prefix}-*"))
    if not files:
        raise NoMachine(f"there is no {prefix} in {root / 'boot'}: remove {root} and run it again")
    return files[-1]


def run(root: Path, disk: Path, given: argparse.Namespace) -> int:
    """Boot the machine and print what it says until it ends. Returns 0 when its tests passed, 1 when they did not.
    Raises NoMachine when it ended, or was ended, before they did."""
    say(f"boot (QEMU, {given.accelerator}); limits in the machine are {given.patience} times as long")
    command = [
        *("qemu-system-x86_64", "-accel", given.accelerator, "-smp", str(os.cpu_count() or 1)),
        *("-cpu", "host" if given.accelerator == "kvm" else "max", "-m", f"{given.memory}G", "-no-reboot"),
        *("-kernel", str(newest(root, "vmlinuz")), "-initrd", str(newest(root, "initrd.img"))),
        *("-append", "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=false"),
        *("-drive", f"file={disk},format=raw,if=virtio,cache=unsafe", "-nic", "user,model=virtio-net-pci,restrict=on"),
        *("-display", "none", "-monitor", "none", "-serial", "stdio"),
    ]
    machine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    limit = threading.Timer(given.minutes * 60, machine.kill)
    limit.daemon = True
    limit.start()
    ended: int | None = None
    log = LOGS / "stock-debian.log"
    try:
        with log.open("wb") as output:
            for raw in t.cast("t.IO[bytes]", machine.stdout):
                output.write(raw)
                output.flush()
                line = raw.decode("utf-8", "replace").rstrip()
                if line:
                    say(line)
                if match := ENDED.match(line):
                    ended = int(match.group(1))
    finally:
        limit.cancel()
        machine.kill()
        machine.wait()
    if ended is None:
        raise NoMachine(f"the machine ended, or {given.minutes} minutes did, before its tests; what it said: {log}")
    say(f"passed on Debian {given.suite}" if ended == 0 else f"failed on Debian {given.suite}: pytest's {ended}")
    return 0 if ended == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
