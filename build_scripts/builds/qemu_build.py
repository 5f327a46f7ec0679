# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The machine: QEMU with our files and hooks, built incrementally, finished binaries kept.

There is one build tree per QEMU version. The patch series is applied to clean
copies of the files it touches, and only files whose content changes are
written, so that ninja compiles what changed and nothing else.
"""

from __future__ import annotations

import bz2
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from build_scripts import paths
from build_scripts.builds.compiler import compiler_version
from build_scripts.errors import ExitCode, LabError
from build_scripts.progress import Step, run_logged, say, step
from build_scripts.sources import sources

OVERLAY = paths.CHECKOUT / "Platform" / "QemuVmx"
OVERLAY_TARGET = Path("target/i386/tcg/vmx")
BINARY = "qemu-system-x86_64"
CONFIGURE = (
    "--target-list=x86_64-softmmu",
    "--without-default-features",
    "--enable-system",
    "--enable-tcg",
    "--disable-kvm",  # a KVM build refuses saved states inside a guest, also under TCG
    "--enable-plugins",
    "--disable-fdt",
    "--disable-pixman",
    "--enable-trace-backends=log",
    "--disable-docs",
    "--disable-install-blobs",
    "--disable-download",
)
# The machine that reports undefined behaviour and wrong memory accesses of its own code; all else as above.
SANITIZE = ("--enable-asan", "--enable-ubsan", "-Doptimization=1")
_STATE = "stmlab-state.json"
_TOUCHED = re.compile(r"^(?:---|\+\+\+) [ab]/(\S+)", re.MULTILINE)


def patches() -> list[Path]:
    """The hook series, in order."""
    return sorted((OVERLAY / "patches").glob("*.patch"))


def overlay_files() -> list[Path]:
    """Our own files of the machine."""
    return paths.files_below(OVERLAY / "vmx")


def _flags(sanitize: bool) -> tuple[str, ...]:
    return CONFIGURE + SANITIZE if sanitize else CONFIGURE


def binary_key(tree: sources.Tree, sanitize: bool = False) -> str:
    """The key of a finished binary: our files, the series, the pin, the flags, the compiler."""
    return paths.content_key([*overlay_files(), *patches()], [tree.identity, compiler_version(), *_flags(sanitize)])


def write_if_changed(target: Path, content: bytes, mode: int | None = None) -> bool:
    """Write `content` unless the file has it already, keeping its time then; tells whether it wrote."""
    if target.is_file() and target.read_bytes() == content:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.with_name(f".{target.name}.new")
    staging.write_bytes(content)
    if mode is not None:
        staging.chmod(mode)
    staging.replace(target)
    return True


def touched_files(series: list[Path]) -> list[str]:
    """The files that a patch series changes or adds."""
    names: set[str] = set()
    for patch in series:
        names.update(_TOUCHED.findall(patch.read_text(encoding="utf-8")))
    return sorted(names)


def patched_files(pristine: Path, series: list[Path], log: Path, shown: Step) -> dict[str, bytes | None]:
    """The content of every file the series touches, after it; None for a file it deletes.

    Args:
        pristine: an unchanged source tree.
        series: patches, applied without fuzz.
    Raises:
        LabError: a hunk does not apply.
    """
    with tempfile.TemporaryDirectory(prefix="stmlab-patch-") as name:
        work = Path(name)
        touched = touched_files(series)
        for relative in touched:
            (work / relative).parent.mkdir(parents=True, exist_ok=True)
            if (pristine / relative).is_file():
                shutil.copyfile(pristine / relative, work / relative)
        for patch in series:
            command = ["patch", "--directory", str(work), "-p1", "--fuzz=0", "--no-backup-if-mismatch", "--batch"]
            run_logged([*command, "--input", str(patch)], log, shown, f"patch {patch.name}")
        return {
            relative: (work / relative).read_bytes() if (work / relative).is_file() else None for relative in touched
        }


def synchronise(tree: sources.Tree, work: Path, log: Path, shown: Step) -> list[str]:
    """Bring the working source tree up to date with the checkout, by content.

    Returns:
        The files that were written or removed.
    """
    pristine = tree.path
    state_file = work.parent / _STATE
    before: list[str] = json.loads(state_file.read_text()) if state_file.is_file() else []
    wanted = patched_files(pristine, patches(), log, shown)
    for path in overlay_files():
        wanted[str(OVERLAY_TARGET / path.relative_to(OVERLAY / "vmx"))] = path.read_bytes()
    for relative in set(before) - set(wanted):
        original = pristine / relative
        wanted[relative] = original.read_bytes() if original.is_file() else None
    # Written first, so that an interrupted run is still undone by the next.
    state_file.write_text(json.dumps(sorted(set(before) | set(wanted))))
    changed = []
    for relative, content in sorted(wanted.items()):
        target = work / relative
        if content is None:
            if target.exists():
                target.unlink()
                changed.append(relative)
        elif write_if_changed(target, content):
            changed.append(relative)
    return changed


def prepare_tree(tree: sources.Tree, work: Path) -> None:
    """Copy the pristine source; add what the distribution's repack lacks."""
    with paths.published(work) as staging:
        ignored = shutil.ignore_patterns(".git", sources.STAMP)

        def ignore(folder: str, names: list[str]) -> set[str]:
            skip = set(ignored(folder, names))
            return skip | ({"build"} if Path(folder) == tree.path else set())

        shutil.copytree(tree.path, staging, symlinks=True, ignore=ignore, dirs_exist_ok=True)
        # meson unpacks these whenever it finds bzip2; an empty archive satisfies it, and nothing reads the result.
        build_file = (staging / "pc-bios" / "meson.build").read_text(encoding="utf-8")
        for name in re.findall(r"'(edk2-[\w.-]+\.fd)'", build_file):
            blob = staging / "pc-bios" / f"{name}.bz2"
            if not blob.is_file():
                blob.write_bytes(bz2.compress(b""))


def _configured(build: Path, flags: tuple[str, ...]) -> bool:
    """Whether the build directory was configured with these flags and its Python environment still works."""
    stamp = build / "stmlab-configured"
    if not stamp.is_file() or stamp.read_text() != "\n".join(flags):
        return False
    probe = [str(build / "pyvenv" / "bin" / "python3"), "-c", "import mesonbuild"]
    try:
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _configure(work: Path, build: Path, flags: tuple[str, ...], log: Path, shown: Step) -> None:
    if _configured(build, flags):
        return
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir(parents=True)
    command = [str(work / "configure"), f"--python={sys.executable}", *flags]
    run_logged(command, log, shown, "configuring the machine", cwd=build)
    (build / "stmlab-configured").write_text("\n".join(flags))


def build_tree(tree: sources.Tree, sanitize: bool = False) -> Path:
    """The folder that holds the working source ``src`` and the build directory ``build``."""
    kind = "qemu-sanitize" if sanitize else "qemu-build"
    return paths.cache_dir() / f"{kind}-{paths.content_key([], [tree.identity, tree.origin])[:12]}"


def extended_qemu(sanitize: bool = False) -> Path:
    """The extended QEMU's binary, built if no finished one fits.

    Args:
        sanitize: the variant with address and undefined-behaviour sanitizers.

    Raises:
        LabError: the source could not be obtained, a patch does not apply, or the build failed.
    """
    tree = sources.locate("qemu")
    finished = _finished(tree, sanitize)
    if (finished / BINARY).is_file():
        os.utime(finished)  # the last used ones are kept
        return finished / BINARY
    with paths.locked("qemu-sanitize" if sanitize else "qemu-build", say):
        # Again, under the lock: another process may have built it, or a file may have changed meanwhile.
        finished = _finished(tree, sanitize)
        if (finished / BINARY).is_file():
            return finished / BINARY
        folder = build_tree(tree, sanitize)
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "build.log"
        log.unlink(missing_ok=True)
        what = "the machine with sanitizers" if sanitize else "the machine"
        with step(f"building {what} (QEMU {tree.version}, {tree.origin})") as shown:
            if not (folder / "src").is_dir():
                (folder / _STATE).unlink(missing_ok=True)
                prepare_tree(tree, folder / "src")
            synchronise(tree, folder / "src", log, shown)
            _configure(folder / "src", folder / "build", _flags(sanitize), log, shown)
            ninja = ["ninja", f"-j{os.cpu_count() or 1}", BINARY]
            run_logged(ninja, log, shown, "compiling the machine", cwd=folder / "build")
            if _finished(tree, sanitize) != finished:
                raise LabError("a file of the machine changed during its build", remedy="run it again")
            _keep(folder / "build" / BINARY, finished, sanitize)
    return finished / BINARY


def find_machine() -> Path:
    """The binary that ``STMLAB_QEMU`` names, else the one that the lab builds.

    Raises:
        LabError: there is none.
    """
    named = os.environ.get("STMLAB_QEMU")
    if named and not Path(named).exists():
        raise LabError(f"STMLAB_QEMU={named} does not exist", ExitCode.USAGE)
    return Path(named) if named else extended_qemu()


def _finished(tree: sources.Tree, sanitize: bool) -> Path:
    return paths.cache_dir() / "machines" / binary_key(tree, sanitize)


def _keep(binary: Path, finished: Path, debug: bool) -> None:
    """Copy the binary; its debug information stays in the build tree unless reports need it."""
    with paths.published(finished) as staging:
        if debug:
            shutil.copy2(binary, staging / BINARY)
            return
        command = ["strip", "--strip-debug", "-o", str(staging / BINARY), str(binary)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise LabError(f"strip failed: {result.stderr}")
    paths.prune(finished.parent, paths.KEPT_RESULTS)
