# SPDX-License-Identifier: BSD-2-Clause-Patent
"""clang with its sanitizers and libFuzzer: what the lab fuzzes with. Not among the lab's needs, since it is large."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from build_scripts import cache, paths
from build_scripts.errors import ExitCode, LabError
from build_scripts.fuzzing.build import CompileError, build
from build_scripts.fuzzing.targets import FLAGS, Tools, load
from build_scripts.progress import step
from build_scripts.sources import sources

# A report ends the process: an undefined operation is as good as a crash.
_SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
FLAGS_OF_CLANG = ("-O2", "-g", "-fno-omit-frame-pointer", *_SANITIZERS, "-fsanitize=fuzzer-no-link")
ENGINE = ("-fsanitize=fuzzer",)
_PROBE = "int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { return d && n > 99; }\n"
# What targets are made of, for the key of finished ones.
_SOURCES = ("StmPkg", "tests/fuzz", "tests/host", "build_scripts/fuzzing", "build_scripts/stm_image")


def version() -> str:
    """clang's version, empty if there is none."""
    clang = shutil.which("clang")
    if clang is None:
        return ""
    result = subprocess.run([clang, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"version (\d+(?:\.\d+)*)", result.stdout)
    return found[1] if found else ""


def lacking() -> str:
    """What there is to install before anything can be fuzzed; empty if nothing is missing."""
    found = version()
    if not found:
        return "clang with its sanitizers: apt-get install clang"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.c"
        source.write_text(_PROBE, encoding="ascii")
        command = ["clang", "-fsanitize=fuzzer,address,undefined", str(source), "-o", f"{folder}/probe"]
        works = subprocess.run(command, capture_output=True, check=False).returncode == 0
    major = found.partition(".")[0]
    return "" if works else f"libFuzzer and the sanitizers of clang: apt-get install libclang-rt-{major}-dev"


def built() -> Path:
    """All targets of this checkout, from the cache or built now.

    Returns:
        The folder with programs, seeds, dictionaries and options.
    Raises:
        LabError: clang or the headers of edk2 are missing, or a target does not build.
    """
    if missing := lacking():
        what, _, how = missing.partition(": ")
        raise LabError(f"fuzzing needs {what}", ExitCode.MISSING_PACKAGES, remedy=f"as root: {how}")
    edk2 = sources.locate("edk2")
    files = paths.files_below(*(paths.CHECKOUT / name for name in _SOURCES))
    wanted = [path for path in files if path.suffix in (".c", ".h", ".py", ".toml", ".dict")]

    def key() -> str:
        return paths.content_key(wanted, [edk2.identity, version(), *FLAGS_OF_CLANG, *FLAGS])

    def make(folder: Path) -> None:
        tools = Tools("clang", "clang++", FLAGS_OF_CLANG, ENGINE, sources.edk2_dir())
        with step("building the fuzz targets"):
            try:
                build(tools, list(load().values()), folder)
            except CompileError as error:
                log = paths.new_run_dir("fuzz") / "build.log"
                log.write_text(str(error), encoding="utf-8")
                lines = [line for line in str(error).splitlines() if "error" in line or "undefined" in line]
                text = "\n  ".join(["a fuzz target does not build:", *lines[:5]])
                raise LabError(text, ExitCode.BUILD_FAILED, log=log) from error

    return cache.obtain("fuzz", key, make, "the fuzz targets", "fuzz-build")


def environment() -> dict[str, str]:
    """Variables for a target: a report of a sanitizer has names, and ends it."""
    settings = {"ASAN_OPTIONS": "abort_on_error=0:detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    return dict(os.environ) | settings
