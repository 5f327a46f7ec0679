# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A TPM 2.0 beside the machine: ``swtpm``, with its state, socket and log in the run directory.

Only SHA-256 registers are active, since the lab's firmware measures with SHA-256: firmware that finds others
allocates them anew and resets the platform, and a reset ends a run.
"""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import time
from pathlib import Path
from types import TracebackType

from build_scripts.errors import ExitCode, LabError
from build_scripts.processes import TimeLimit, ends_with_parent

PROGRAM = "swtpm"
TPM_LOG = "tpm.log"
_STATE = "tpm"
_SOCKET = "tpm.sock"
_SECONDS = 30.0
# TPM 2.0 Library, Part 2: structures and constants.
_ST_NO_SESSIONS, _ST_SESSIONS = 0x8001, 0x8002
_CC_PCR_ALLOCATE, _CC_SHUTDOWN = 0x12B, 0x145
_RH_PLATFORM, _RS_PW = 0x4000000C, 0x40000009
_ALG_SHA1, _ALG_SHA256, _ALG_SHA384, _ALG_SHA512 = 0x4, 0xB, 0xC, 0xD
_SU_CLEAR = 0
_HEADER = struct.Struct(">HII")
_ALL, _NONE = b"\xff\xff\xff", b"\0\0\0"


def program() -> str:
    """Where the program is.

    Raises:
        LabError: it is not installed.
    """
    found = shutil.which(PROGRAM)
    if found is None:
        raise LabError(
            f"no {PROGRAM} on the path: it is the TPM",
            ExitCode.MISSING_PACKAGES,
            remedy=f"as root: apt-get install --no-install-recommends {PROGRAM}",
        )
    return found


def _call(channel: socket.socket, tag: int, code: int, body: bytes) -> None:
    channel.sendall(_HEADER.pack(tag, _HEADER.size + len(body), code) + body)
    answer = channel.recv(4096)
    status = _HEADER.unpack_from(answer)[2] if len(answer) >= _HEADER.size else None
    if status != 0:
        raise LabError(f"the TPM refused command {code:#x}: {'no answer' if status is None else f'{status:#x}'}")


def _allocate(channel: socket.socket) -> None:
    """Registers of SHA-256, and of nothing else, from the next start on."""
    authorization = struct.pack(">IHBH", _RS_PW, 0, 0, 0)
    banks = [(_ALG_SHA1, _NONE), (_ALG_SHA256, _ALL), (_ALG_SHA384, _NONE), (_ALG_SHA512, _NONE)]
    body = struct.pack(">II", _RH_PLATFORM, len(authorization)) + authorization + struct.pack(">I", len(banks))
    body += b"".join(struct.pack(">HB", algorithm, len(which)) + which for algorithm, which in banks)
    _call(channel, _ST_SESSIONS, _CC_PCR_ALLOCATE, body)
    _call(channel, _ST_NO_SESSIONS, _CC_SHUTDOWN, struct.pack(">H", _SU_CLEAR))


class Tpm:
    """One TPM, new and without history; a context manager around the machine that has it."""

    def __init__(self, run_dir: Path) -> None:
        """Prepare it.

        Args:
            run_dir: the directory in which the machine runs, too.
        """
        self.run_dir = run_dir
        self._process: subprocess.Popen[bytes] | None = None

    def _manufacture(self) -> None:
        ours, its = socket.socketpair()
        with ours, its, (self.run_dir / TPM_LOG).open("wb") as log:
            command = [program(), "socket", "--tpm2", "--tpmstate", f"dir={_STATE}", "--fd", str(its.fileno())]
            process = subprocess.Popen(
                [*command, "--flags", "not-need-init,startup-clear"],
                pass_fds=[its.fileno()],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.run_dir,
                preexec_fn=ends_with_parent(),
            )
            try:
                its.close()
                ours.settimeout(_SECONDS)
                _allocate(ours)
                ours.close()  # with its only client the program goes, too
                process.wait(_SECONDS)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise LabError(f"the TPM does not answer: {error}", log=self.run_dir / TPM_LOG) from error
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()

    def _wait_for_its_socket(self, process: subprocess.Popen[bytes]) -> None:
        limit = TimeLimit(process.pid, _SECONDS)
        while not (self.run_dir / _SOCKET).exists():
            if process.poll() is not None or limit.left() <= 0:
                raise LabError(f"{PROGRAM} did not start", log=self.run_dir / TPM_LOG)
            time.sleep(0.02)

    def __enter__(self) -> tuple[str, ...]:
        """Start it.

        Returns:
            QEMU's arguments for a machine that has it; its working directory is the run directory.

        Raises:
            LabError: there is no such program, or it does not do as told.
        """
        (self.run_dir / _STATE).mkdir(parents=True)
        self._manufacture()
        with (self.run_dir / TPM_LOG).open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(program(), "socket", "--tpm2", "--tpmstate", f"dir={_STATE}"),
                    *("--ctrl", f"type=unixio,path={_SOCKET}", "--terminate"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.run_dir,
                preexec_fn=ends_with_parent(),
            )
        try:
            self._wait_for_its_socket(self._process)
        except BaseException:
            # Ctrl-C, too: the block has not begun, so nobody else ends it.
            self.__exit__(None, None, None)
            raise
        return (
            *("-chardev", f"socket,id=tpm,path={_SOCKET}"),
            *("-tpmdev", "emulator,id=tpm0,chardev=tpm"),
            *("-device", "tpm-tis,tpmdev=tpm0"),
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, if it has not ended with the machine."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        (self.run_dir / _SOCKET).unlink(missing_ok=True)
