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

from build_scripts import cache, paths, system
from build_scripts.builds.compiler import compiler_version, known_compilers
from build_scripts.bundles import record
from build_scripts.errors import ExitCode, LabError
from build_scripts.machine import processors
from build_scripts.progress import Step, run_logged, say, step
from build_scripts.sources import sources
from build_scripts.sources.content import tree_digest

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
_LEFT = "stmlab-source"
_NAMED_REMEDY = "name a machine that the lab built, or unset STMLAB_QEMU"
_TOUCHED = re.compile(r"^(?:---|\+\+\+) [ab]/(\S+)", re.MULTILINE)


def patches() -> list[Path]:
    """The hook series, in order."""
    return sorted((OVERLAY / "patches").glob("*.patch"))


def overlay_files() -> list[Path]:
    """Our own files of the machine."""
    return paths.files_below(OVERLAY / "vmx")


def _flags(sanitize: bool) -> tuple[str, ...]:
    return CONFIGURE + SANITIZE if sanitize else CONFIGURE


def binary_key(tree: sources.Tree, sanitize: bool = False, compiler: str | None = None) -> str:
    """The key of a finished binary: our files, the series, the pin, the flags, the compiler (the host's by default)."""
    made_by = compiler if compiler is not None else compiler_version()
    return paths.content_key([*overlay_files(), *patches()], [tree.identity, made_by, *_flags(sanitize)])


def finished_machine() -> Path | None:
    """The folder of this checkout's finished machine, if there is one."""
    tree = sources.identify("qemu")
    keys = (binary_key(tree, compiler=compiler) for compiler in known_compilers())
    return next((found for key in keys if (found := cache.existing("machines", key)) is not None), None)


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
    # A tree of the user's changes with every edit; its builds go on in one folder.
    source = [tree.origin] if tree.own else [tree.identity, tree.origin]
    return paths.cache_dir() / f"{kind}-{paths.content_key([], source)[:12]}"


def _fresh_log(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "build.log"
    log.unlink(missing_ok=True)
    return log


def _update(tree: sources.Tree, folder: Path, sanitize: bool, log: Path, shown: Step) -> None:
    """Bring a build tree to the checkout's state, configured and not yet compiled."""
    if not _as_left(tree, folder):
        # Copies keep their times, so that ninja compiles what differs.
        shutil.rmtree(folder / "src", ignore_errors=True)
        (folder / _STATE).unlink(missing_ok=True)
        prepare_tree(tree, folder / "src")
    synchronise(tree, folder / "src", log, shown)
    (folder / _LEFT).write_text(_description(tree, folder), encoding="ascii")
    _configure(folder / "src", folder / "build", _flags(sanitize), log, shown)


def updated_tree() -> Path:
    """The folder of the machine's build tree, up to date and configured; see `build_tree`.

    Raises:
        LabError: the source could not be obtained, or a patch does not apply.
    """
    tree = sources.sound("qemu")
    with paths.locked("qemu-build", say):
        folder = build_tree(tree)
        with step("configuring the machine's build tree") as shown:
            log = _fresh_log(folder)
            _update(tree, folder, False, log, shown)
            # meson looks at its files again if one has changed, so that a new source of ours is known.
            run_logged(["ninja", "-C", str(folder / "build"), "build.ninja"], log, shown, "configuring the machine")
    return folder


def extended_qemu(sanitize: bool = False) -> Path:
    """The extended QEMU's binary, built if no finished one fits.

    Args:
        sanitize: the variant with address and undefined-behaviour sanitizers.

    Raises:
        LabError: the source could not be obtained, a patch does not apply, or the build failed.
    """

    def key() -> str:
        return binary_key(sources.identify("qemu"), sanitize)

    def brought() -> list[str]:
        return [binary_key(sources.identify("qemu"), sanitize, compiler) for compiler in record.compilers()]

    def make(folder: Path) -> None:
        _build(folder, sanitize)

    kind = "qemu-sanitize" if sanitize else "qemu-build"
    return cache.obtain("machines", key, make, _name(sanitize), kind, brought=brought) / BINARY


def _name(sanitize: bool) -> str:
    return "the machine with sanitizers" if sanitize else "the machine"


def _build(finished: Path, sanitize: bool) -> None:
    """Compile incrementally, and put the binary into the folder `finished`."""
    system.ensure_packages()  # where a bundle has brought a machine nobody has asked so far
    tree = sources.sound("qemu")
    folder = build_tree(tree, sanitize)
    log = _fresh_log(folder)
    with step(f"building {_name(sanitize)} (QEMU {tree.version}, {tree.origin})") as shown:
        _update(tree, folder, sanitize, log, shown)
        ninja = ["ninja", f"-j{os.cpu_count() or 1}", BINARY]
        run_logged(ninja, log, shown, "compiling the machine", cwd=folder / "build")
        if sanitize:  # its reports need the debug information, which else stays in the build tree
            shutil.copy2(folder / "build" / BINARY, finished / BINARY)
        else:
            strip(folder / "build" / BINARY, finished / BINARY, log, shown)


def _description(tree: sources.Tree, folder: Path) -> str:
    """Which source the working copy is made of, and what is in it."""
    return f"{tree.identity} {tree_digest(folder / 'src')}"


def _as_left(tree: sources.Tree, folder: Path) -> bool:
    """Whether the working copy is of this source and holds what the last build left in it."""
    left = folder / _LEFT
    if not (folder / "src").is_dir() or not left.is_file():
        return False
    return left.read_text(encoding="ascii", errors="replace") == _description(tree, folder)


def strip(binary: Path, target: Path, log: Path, shown: Step) -> None:
    """Copy a program without its debug information."""
    run_logged(["strip", "--strip-debug", "-o", target, binary], log, shown, f"strip {binary.name}")


def find_machine() -> Path:
    """The binary that ``STMLAB_QEMU`` names, else the one that the lab builds.

    Raises:
        LabError: there is none.
    """
    named = os.environ.get("STMLAB_QEMU")
    if not named:
        return extended_qemu()
    binary = Path(named)
    if not binary.exists():
        raise LabError(f"STMLAB_QEMU={named} does not exist", ExitCode.USAGE, remedy=_NAMED_REMEDY)
    if not binary.is_file() or not os.access(binary, os.X_OK):
        raise LabError(f"STMLAB_QEMU={named} is no program", ExitCode.USAGE, remedy=_NAMED_REMEDY)
    try:
        good = processors.has_dual_monitor(binary)
    except (OSError, UnicodeDecodeError):
        good = False
    if not good:
        raise LabError(
            f"STMLAB_QEMU={named} is no QEMU with the dual-monitor treatment", ExitCode.USAGE, remedy=_NAMED_REMEDY
        )
    return binary
