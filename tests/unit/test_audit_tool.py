# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The audit tool's tarball: it is unpacked where it should be, and nowhere else."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tests.support import audit


def archive(path: Path, name: str) -> Path:
    with tarfile.open(path, "w:gz") as made:
        member = tarfile.TarInfo(name)
        member.size = 4
        made.addfile(member, io.BytesIO(b"text"))
    return path


def test_it_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    audit.unpack(archive(tmp_path / "a.tar.gz", "chipsec/main.py"), tmp_path / "in")
    assert (tmp_path / "in/chipsec/main.py").read_text() == "text"


@pytest.mark.parametrize("name", ["../outside", "chipsec/../../outside", "/{root}/outside"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    packed = archive(tmp_path / "a.tar.gz", name.format(root=str(tmp_path).lstrip("/")))
    if ".." in name:
        with pytest.raises(audit.NoChipsec, match="cannot be unpacked"):
            audit.unpack(packed, tmp_path / "in")
    else:
        audit.unpack(packed, tmp_path / "in")  # as a path below the folder
    assert not (tmp_path / "outside").exists()


def test_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"no archive")
    with pytest.raises(audit.NoChipsec, match=r"a\.tar\.gz cannot be unpacked"):
        audit.unpack(tmp_path / "a.tar.gz", tmp_path)
