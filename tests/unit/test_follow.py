# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What --verbose shows while the guest runs."""

from __future__ import annotations

from pathlib import Path

from build_scripts.observation import show
from build_scripts.observation.events import Record
from build_scripts.observation.follow import Follower


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
