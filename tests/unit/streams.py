# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Synthetic logs of a run, for tests of what reads them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from build_scripts.stm_image import convert
from tests.host.test_convert import GOOD

HASH = "ab" * 32
ALL_ONES = 0xFFFFFFFFFFFFFFFF


@dataclass
class Logs:
    """Writes records at rising times into the logs of a run directory."""

    folder: Path
    t: int = 1000
    icount: int = 500
    lines: dict[str, list[str]] = field(default_factory=dict)

    def record(self, log: str, source: str, event: str, fields: str = "") -> None:
        self.t += 10
        self.lines.setdefault(log, []).append(f"{source}: ev={event} t={self.t} {fields}".rstrip())

    def app(self, event: str, fields: str = "") -> None:
        self.record("records.log", "APP", event, fields)

    def stm(self, event: str, fields: str = "") -> None:
        self.record("stm.log", "STM", event, fields)

    def status(self, state: str, reason: str) -> None:
        fields = f"state={state} reason={reason} mseg_base=0x1fe00000 mseg_size=0x200000 processors_fit=63"
        self.record(
            "records.log",
            "FW",
            "status",
            f"{fields} image_source=firmware-volume image_sha256={HASH} mseg_sha256={HASH}",
        )

    def transition(
        self,
        kind: str,
        source: str,
        target: str,
        reason: int = 0,
        instructions: int = 100,
        rip: int = 0x1234,
        cpu: int = 0,
    ) -> None:
        self.t += 10
        self.icount += instructions
        self.lines.setdefault("machine.log", []).append(
            f"vmx_transition cpu={cpu} t={self.t} icount={self.icount} kind={kind} from={source} to={target} "
            f"vmcs=0x1000 exec_vmcs={ALL_ONES:#x} reason={reason:#x} qual=0xb20000 rip={rip:#x}"
        )

    def plain_smi(self, extra_reasons: tuple[int, ...] = ()) -> None:
        self.transition("smm-exit", "guest", "stm", 5)
        self.transition("handler-entry", "stm", "handler", 0, 30)
        for reason in extra_reasons:
            self.transition("handler-exit", "handler", "stm", reason, 700, rip=0x7000)
            self.transition("handler-entry", "stm", "handler", 0, 20)
        self.transition("handler-exit", "handler", "stm", 17, 5000)
        self.transition("smm-return", "stm", "guest", 0, 40)

    def default_smi(self, cpu: int = 0) -> None:
        self.transition("smi", "guest", "smm", cpu=cpu)
        self.transition("rsm", "smm", "guest", 0, 4000, cpu=cpu)

    def activation(self) -> None:
        self.transition("activate", "root", "stm", 18)
        self.stm("init", f"cpu=0 exec_vmxon=0x5000 smbase=0x1f000000 mseg_sha256={HASH}")
        self.transition("smm-return", "stm", "root")
        self.transition("smm-exit", "root", "stm", 18)
        self.stm("start", "cpu=0")
        self.transition("smm-return", "stm", "root")

    def demonstration(self, dual_monitor: bool) -> None:
        for cause, number in (("port-b2", 2), ("variable", 3)):
            self.app("smi-begin", f"cause={cause}")
            for _ in range(number):
                if dual_monitor:
                    self.plain_smi()
                else:
                    self.default_smi()
            if cause == "variable":
                self.app("variable", "written=1 read_back=1 name=StmLab0")
            self.app("smi-end", "")

    def write(self) -> Path:
        self.folder.mkdir(exist_ok=True)
        for name, lines in self.lines.items():
            (self.folder / name).write_text("".join(f"{line}\n" for line in lines))
        return self.folder


def good_run(folder: Path) -> Logs:
    """The logs of a run in which everything works."""
    logs = Logs(folder)
    logs.status("enabled", "none")
    for _ in range(2):
        logs.app("script", "line=1 cmd=ExecMon.efi%20start")
        logs.activation()
        logs.record("executive.log", "EXEC", "launch", "vmcs=0x1000")
        logs.demonstration(True)
        logs.default_smi()  # the Shell's own: not of the demonstration
        logs.stm("stop", "cpu=0 smis=5 exits=5")
        logs.demonstration(False)
    logs.app("smi-count", "value=321")
    return logs


def run_with_image(folder: Path, processors: int = 2) -> Path:
    """A run whose firmware set MSEG aside for an STM image of ours."""
    data = convert(GOOD.bytes()).data
    logs = Logs(folder)
    digest = hashlib.sha256(data).hexdigest()
    logs.record(
        "records.log",
        "FW",
        "status",
        f"state=enabled reason=none mseg_base=0x1fe00000 mseg_size=0x200000 processors={processors} "
        f"processors_fit=63 image_source=fw-cfg image_sha256={digest} mseg_sha256={digest}",
    )
    logs.transition("activate", "root", "stm", 18, rip=0x1D405454)
    logs.stm("init", f"cpu=0 exec_vmxon=0x1d41e000 smbase=0x1eff9000 mseg_sha256={digest}")
    logs.transition("smm-return", "stm", "root")
    logs.demonstration(True)
    logs.record("executive.log", "EXEC", "vmxon", "cpu=0 region=0x1d41e000")
    logs.write()
    (folder / "Stm.mseg").write_bytes(data)
    (folder / "command").write_text("qemu\n-m\n512M\n-global\nmch.extended-tseg-mbytes=16\n")
    return folder
