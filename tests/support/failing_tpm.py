# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A TPM that takes no digest: ``swtpm``, with somebody between it and QEMU.

Called as ``swtpm`` is. QEMU hands over the channel of commands on the control socket (``CMD_SET_DATAFD``); each
TPM2_PCR_Extend on it gets TPM_RC_FAILURE, and everything else goes to the program and back.
"""

from __future__ import annotations

import array
import os
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

REFUSED_LOG = "tpm-refused.log"
_PCR_EXTEND, _RC_FAILURE, _NO_SESSIONS = 0x182, 0x101, 0x8001
_HEADER = struct.Struct(">HII")
_MOST = 65536


def write_program(folder: Path, real: str) -> Path:
    """A program of this name and these arguments in a folder; ``real`` is where the other one is."""
    path = folder / "swtpm"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).resolve()} {real} "$@"\n', encoding="ascii")
    path.chmod(0o755)
    return path


def _answer(command: bytes) -> bytes | None:
    """What QEMU gets without the TPM; None if the TPM shall answer."""
    if len(command) < _HEADER.size or _HEADER.unpack_from(command)[2] != _PCR_EXTEND:
        return None
    return _HEADER.pack(_NO_SESSIONS, _HEADER.size, _RC_FAILURE)


def _control(source: socket.socket, target: socket.socket) -> tuple[bool, list[tuple[socket.socket, socket.socket]]]:
    """Pass control messages on; whether the other side is still there, and the two ends of a channel that came."""
    data, descriptors, _, _ = socket.recv_fds(source, _MOST, 1)
    if not data:
        return False, []
    if not descriptors:
        target.sendall(data)
        return True, []
    ours, its = socket.socketpair()
    with its:
        target.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [its.fileno()]))])
    return True, [(socket.socket(fileno=descriptors[0]), ours)]


def _serve(qemu: socket.socket, tpm: socket.socket, refused: Path) -> None:
    pairs: list[tuple[socket.socket, socket.socket]] = []
    while True:
        ready, _, _ = select.select([qemu, tpm, *(one for pair in pairs for one in pair)], [], [])
        for source, target in ((qemu, tpm), (tpm, qemu)):
            if source in ready:
                there, came = _control(source, target)
                if not there:
                    return
                pairs += came
        for machine, program in pairs:
            if machine in ready and (command := machine.recv(_MOST)):
                answer = _answer(command)
                if answer is None:
                    program.sendall(command)
                else:
                    machine.sendall(answer)
                    with refused.open("a", encoding="ascii") as log:
                        log.write(command.hex() + "\n")
            if program in ready and (answered := program.recv(_MOST)):
                machine.sendall(answered)


def main() -> int:
    """Run in the place of the program, until QEMU or the program ends."""
    real, arguments = sys.argv[1], sys.argv[2:]
    if "--ctrl" not in arguments:
        os.execv(real, [real, *arguments])
    place = arguments.index("--ctrl") + 1
    path = Path(arguments[place].partition("path=")[2])
    behind = path.with_suffix(".behind")
    arguments[place] = f"type=unixio,path={behind}"
    with subprocess.Popen([real, *arguments]) as process, socket.socket(socket.AF_UNIX) as listening:
        try:
            while not behind.exists():
                if process.poll() is not None:
                    return 1
                time.sleep(0.02)
            listening.bind(str(path))
            listening.listen(1)
            qemu, _ = listening.accept()
            with qemu, socket.socket(socket.AF_UNIX) as tpm:
                tpm.connect(str(behind))
                _serve(qemu, tpm, path.with_name(REFUSED_LOG))
        finally:
            process.kill()
            behind.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
