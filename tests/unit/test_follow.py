# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What --verbose shows while the guest runs."""

from __future__ import annotations

from pathlib import Path

from build_scripts.observation import show
from build_scripts.observation.events import Record
from build_scripts.observation.follow import Follower
from build_scripts.observation.report import Smi

from .streams import Logs


def test_each_record_once_and_whole(tmp_path: Path) -> None:
    seen: list[Record] = []
    follower = Follower(tmp_path, seen.append)
    follower.poll()
    log = tmp_path / "records.log"
    log.write_text("APP: ev=script t=1 line=1 cmd=ver\nnoise\nSTM: ev=crash t=1 cpu=0\nAPP: ev=mark t=2 na")
    follower.poll()
    follower.poll()
    assert [record.event for record in seen] == ["script"]
    with log.open("a") as more:
        more.write("me=x\n")
    (tmp_path / "stm.log").write_text("STM: ev=start t=3 cpu=0\n")
    follower.poll()
    assert sorted(str(record) for record in seen) == [
        "APP: ev=mark t=2 name=x",
        "APP: ev=script t=1 line=1 cmd=ver",
        "STM: ev=start t=3 cpu=0",
    ]
    assert [show.words_of(record) for record in seen if record.event != "start"] == ["shell: ver", ""]


def test_each_smi_has_a_line_when_it_has_ended(tmp_path: Path) -> None:
    """Under either treatment, in less than 80 columns; half a line waits."""
    logs = Logs(tmp_path)
    logs.plain_smi()
    logs.plain_smi(extra_reasons=(10,))
    logs.default_smi(cpu=12)
    logs.transition("smm-exit", "guest", "stm", 6)
    whole = "".join(f"{line}\n" for line in logs.lines["machine.log"])
    seen: list[Smi] = []
    follower = Follower(tmp_path, lambda record: None, seen.append)
    (tmp_path / "machine.log").write_text(whole[:300])
    follower.poll()
    assert seen == []
    (tmp_path / "machine.log").write_text(whole)
    follower.poll()
    follower.poll()
    lines = [show.live_line(smi) for smi in seen]
    assert lines == [
        "SMI CPU 0: I/O, 4 transitions, STM 70, handler 5,000 instr.",
        "SMI CPU 0: I/O, 6 transitions, 1 extra, STM 90, handler 5,700 instr.",
        "SMI CPU 12: default treatment, handler 4,000 instr.",
    ]
    assert len("stmlab: ") + max(map(len, lines)) < 80
    assert show.live_line(Smi(True, seen[0].events[:1], complete=False)).endswith(", no end")
