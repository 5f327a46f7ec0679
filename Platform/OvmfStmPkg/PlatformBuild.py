"""stuart settings and builder of the STM Lab firmware.

Used by ``stuart_setup``, ``stuart_update`` and ``stuart_build`` with
``-c Platform/OvmfStmPkg/PlatformBuild.py``. Settings that a caller may give as
``NAME=VALUE`` are declared once, in :data:`SETTINGS`; ``stuart_build -h``
prints them.

The edk2 tree lies outside the workspace (``EDK2_DIR``, or the lab's cache), so
the BaseTools environment is set here and not found by edk2-pytool's walk.

Copyright (c) 2026, STM Lab contributors
SPDX-License-Identifier: BSD-2-Clause-Patent
"""

import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from edk2toolext.environment import shell_environment
from edk2toolext.environment.uefi_build import UefiBuilder
from edk2toolext.invocables.edk2_platform_build import BuildSettingsManager
from edk2toolext.invocables.edk2_setup import SetupSettingsManager
from edk2toolext.invocables.edk2_update import UpdateSettingsManager

WORKSPACE = Path(__file__).resolve().parents[2]
if str(WORKSPACE) not in sys.path:
    sys.path.insert(0, str(WORKSPACE))  # build_scripts, also without "pip install -e ."
if str(Path(__file__).parent) not in sys.path:
    sys.path.insert(0, str(Path(__file__).parent))  # our own modules, below

import flash  # noqa: E402
import images  # noqa: E402

from build_scripts import nested  # noqa: E402
from build_scripts.errors import LabError  # noqa: E402
from build_scripts.sources import sources  # noqa: E402

# Whatever make flags or edk2 variables the caller's shell carries: the build must
# not meet them. edk2-pytool has a copy, which it brings back at every checkpoint.
nested.clean_own_environment()
shell_environment.GetEnvironment().import_environment()

PLATFORM_DSC = "OvmfStmPkg/OvmfStmPkg.dsc"
TARGETS = ("DEBUG", "RELEASE", "NOOPT")
SCOPES = ("stm",)  # edk2's own scopes would fetch tools over NuGet
SKIPPED_DIRECTORIES = ("Build", "Platform/QemuVmx", "docs", "tests")

# Flags of OVMF's DSC and FDF. DEBUG_ON_SERIAL_PORT and FD_SIZE_* are absent on
# purpose: OVMF tests them with !ifdef, so any value, FALSE included, sets them.
FLAGS = {
    "SMM_REQUIRE": "TRUE",
    "SECURE_BOOT_ENABLE": "FALSE",
    "CC_MEASUREMENT_ENABLE": "FALSE",
    "NETWORK_ENABLE": "FALSE",
    "TPM2_ENABLE": "FALSE",
}


@dataclass(frozen=True)
class Setting:
    """One setting of this platform, in the shape that stuart's help prints."""

    name: str
    description: str
    default: str


#: Settings that may be environment variables as well.
FROM_ENVIRONMENT = ("QEMU_PATH", "QEMU_CPU", "QEMU_SCRIPT", "STM_IMAGE")

SETTINGS = (
    Setting("TARGET", "DEBUG (messages, asserts), RELEASE, or NOOPT (for a debugger)", "DEBUG"),
    Setting("TOOL_CHAIN_TAG", "Tool chain of edk2's tools_def", "GCC"),
    Setting("TARGET_ARCH", "Architecture; only X64 is supported", "X64"),
    Setting("ACTIVE_PLATFORM", "Platform description file", PLATFORM_DSC),
    Setting("MAX_CONCURRENT_THREAD_NUMBER", "Compiler processes at a time", str(os.cpu_count() or 1)),
    Setting("COMPILE_INFO", "TRUE: compile nothing, write CompileInfo/compile_commands.json below the output", "FALSE"),
    Setting("QEMU_PATH", "QEMU binary of --FlashRom and --FlashOnly; empty: the lab's machine, built if need be", ""),
    Setting("QEMU_CPU", "CPU model of --FlashRom; empty: the lab's, as the binary supports it", ""),
    Setting("STM_IMAGE", "STM image for --FlashRom to boot instead of the built one; empty: the built one", ""),
    Setting("QEMU_SCRIPT", "Shell commands, separated by ';'; empty: the demonstration; 'prompt': a prompt", ""),
)


def edk2_dir() -> Path:
    """The edk2 tree: ``EDK2_DIR`` if set, else the lab's cached one.

    Raises:
        SystemExit: no tree, or one without compiled BaseTools. stuart would show
            any other exception as a traceback.
    """
    given = os.environ.get("EDK2_DIR")
    try:
        tree = Path(given).resolve() if given else sources.edk2_dir()
    except LabError as error:
        raise SystemExit(f"error: {error}") from error
    if not (tree / "MdePkg" / "MdePkg.dec").is_file():
        raise SystemExit(f"error: EDK2_DIR={given} is not an edk2 tree\nremedy: unset it, or give a tree")
    if not (tree / "BaseTools" / "Source" / "C" / "bin" / "GenFw").is_file():
        command = f"make -C {tree}/BaseTools/Source/C"
        raise SystemExit(f"error: the BaseTools of {tree} are not compiled\nremedy: {command}")
    return tree


def use_basetools() -> None:
    """Put edk2's BaseTools into this process's environment, for all builds that it starts."""
    tools = edk2_dir() / "BaseTools"
    environment = shell_environment.GetEnvironment()
    for name in ("EDK_TOOLS_PATH", "BASE_TOOLS_PATH"):
        environment.set_shell_var(name, str(tools))
    environment.insert_path(str(tools / "BinWrappers" / "PosixLike"))
    environment.insert_pypath(str(tools / "Source" / "Python"))
    shell_environment.GetBuildVars().SetValue("EDK_TOOLS_PATH", str(tools), "edk2 lies outside the workspace")


class _Paths:
    """What setup, update and build have to agree on."""

    def GetWorkspaceRoot(self) -> str:
        """Return the checkout."""
        return str(WORKSPACE)

    def GetPackagesPath(self) -> tuple[str, ...]:
        """Return where packages are looked for, after the workspace itself."""
        return (str(WORKSPACE / "Platform"), str(edk2_dir()))

    def GetActiveScopes(self) -> tuple[str, ...]:
        """Return the scopes of environment descriptors that apply."""
        return SCOPES

    def GetSkippedDirectories(self) -> tuple[str, ...]:
        """Return workspace directories without environment descriptors."""
        return SKIPPED_DIRECTORIES


class SettingsManager(_Paths, UpdateSettingsManager, SetupSettingsManager):
    """Settings of ``stuart_setup`` and ``stuart_update``, which have nothing to fetch."""

    def GetPackagesSupported(self) -> tuple[str, ...]:
        """Return the packages this platform builds."""
        return ("OvmfStmPkg",)

    def GetArchitecturesSupported(self) -> tuple[str, ...]:
        """Return the architectures this platform builds."""
        return ("X64",)

    def GetTargetsSupported(self) -> tuple[str, ...]:
        """Return the build targets."""
        return TARGETS

    def GetRequiredSubmodules(self) -> list[object]:
        """Return the git submodules of the workspace: none."""
        return []


class PlatformBuilder(_Paths, UefiBuilder, BuildSettingsManager):
    """Builds the images, and boots them with ``--FlashRom``."""

    def GetName(self) -> str:
        """Return the name that log files carry."""
        return "OvmfStm"

    def GetLoggingLevel(self, loggerType: str) -> int:
        """Return the level of a log: everything to the file, progress to the screen."""
        return logging.INFO if loggerType == "con" else logging.DEBUG

    def SetPlatformDefaultEnv(self) -> list[Setting]:
        """Return the declared settings, for the help text and as last defaults."""
        return list(SETTINGS)

    def SetPlatformEnv(self) -> int:
        """Set BaseTools' environment, the defaults and the build flags."""
        use_basetools()
        environment = shell_environment.GetEnvironment()
        # Also for "build" runs of our own; see images.build_module.
        environment.set_shell_var("PYTHONHASHSEED", "0")
        # Not overridable, so that they beat target.txt; the command line came first.
        for setting in SETTINGS:
            given = os.environ.get(setting.name, "") if setting.name in FROM_ENVIRONMENT else ""
            self.env.SetValue(setting.name, given or setting.default, "Environment, or default of OvmfStmPkg")
        for name, value in FLAGS.items():
            self.env.SetValue(f"BLD_*_{name}", value, "Flag of OvmfStmPkg")
        self.env.SetValue("PRODUCT_NAME", "OvmfStm", "Name of OvmfStmPkg")
        return 0

    def SetPlatformEnvAfterTarget(self) -> int:
        """Refuse a target or an architecture that this platform does not have."""
        if self.env.GetValue("TARGET") not in TARGETS:
            logging.critical("TARGET must be one of %s", ", ".join(TARGETS))
            return 1
        if self.env.GetValue("TARGET_ARCH") != "X64":
            logging.critical("TARGET_ARCH must be X64")
            return 1
        return 0

    def PlatformPreBuild(self) -> int:
        """Pin the stack cookies; build and convert what the FDF takes as a file."""
        output = Path(self.env.GetValue("BUILD_OUTPUT_BASE"))
        images.write_stack_cookies(output)
        if self.env.GetValue("BUILDMODULE") or self._only_tells():
            return 0  # one module, or none: no firmware volume
        try:
            image = images.build_stm(output, self._request())
        except RuntimeError as error:
            logging.critical("STM image: %s", error)
            return 1
        for name, value in images.digest_flags(image).items():
            self.env.SetValue(f"BLD_*_{name}", value, "Digest of the STM image")
        return 0

    def Build(self) -> int:
        """Build, or have edk2 write down how it would."""
        if not self._only_tells():
            return int(super().Build())
        self.SkipPostBuild, self.FlashImage = True, False
        try:
            images.tell_compilation(Path(self.env.GetValue("BUILDREPORT_FILE")), self._request())
        except RuntimeError as error:
            logging.critical("compilation database: %s", error)
            return 1
        return 0

    def _only_tells(self) -> bool:
        return bool(self.env.GetValue("COMPILE_INFO") == "TRUE")

    def _request(self) -> images.ModuleBuild:
        """What builds of our own have in common with the main one."""
        target = self.env.GetValue("TARGET")
        return images.ModuleBuild(
            platform=self.env.GetValue("ACTIVE_PLATFORM"),
            target=target,
            tool_chain=self.env.GetValue("TOOL_CHAIN_TAG"),
            threads=self.env.GetValue("MAX_CONCURRENT_THREAD_NUMBER"),
            flags=dict(self.env.GetAllBuildKeyValues(target)),
        )

    def PlatformFlashImage(self) -> int:
        """Boot the built images in QEMU."""
        output = Path(self.env.GetValue("BUILD_OUTPUT_BASE"))
        return flash.flash(
            flash.Request(
                output=output,
                qemu=self.env.GetValue("QEMU_PATH") or "",
                cpu=self.env.GetValue("QEMU_CPU") or "",
                script=self.env.GetValue("QEMU_SCRIPT") or "",
                stm_image=self.env.GetValue("STM_IMAGE") or "",
            )
        )
