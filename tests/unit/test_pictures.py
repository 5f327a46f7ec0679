# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The report's page, held against the records it is made of."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from build_scripts import cli, paths
from build_scripts.errors import ExitCode
from build_scripts.experiments.attacking.catalogue import all_attacks
from build_scripts.observation.boots import boots_of, keep_together
from build_scripts.observation.events import Mode, Stream, read_stream
from build_scripts.pictures import boot, decoded, page
from build_scripts.pictures.places import NOTHING, RULES, mseg_parts, read_places
from build_scripts.pictures.spans import Span, spans_of
from build_scripts.stm_image import convert, layout
from tests.host.test_convert import GOOD

from .streams import Logs, good_run, run_with_image


class Page(HTMLParser):
    """What a reader meets: the cells of the table, headings, texts, and everything that a browser would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.fetched: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [f"{tag} {name}={value}" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag == "tr":
            self.rows.append([])
        if tag == "script":
            self.scripts.append("")
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.scripts[-1] += data
        elif self.open[-1:] == ["td"]:
            self.rows[-1].append(data.strip())
        else:
            self.texts.append(data)


def made(logs: Logs, folder: Path, capsys: pytest.CaptureFixture[str]) -> Page:
    output = folder / "page.html"
    assert cli.main(["report", str(logs.write()), "--output", str(output)]) == 0
    assert str(output) in "".join(capsys.readouterr())
    return Page(output.read_text(encoding="utf-8"))


def drawn(found: Page) -> list[Any]:
    """What the page's own script draws of each boot."""
    match = re.search(r"^const boots = \[\n(.*?)^\];$", found.scripts[-1], re.M | re.S)
    assert match is not None
    return [json.loads(line.rstrip(",")) for line in match[1].splitlines()]


def test_stretches_between_transitions(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    logs.transition("vmxon", "none", "root", cpu=1)
    logs.transition("vmxon", "none", "root")
    logs.transition("entry", "root", "guest", cpu=1)
    logs.transition("smm-exit", "guest", "stm", 5, cpu=1)
    logs.transition("entry", "root", "guest")
    assert spans_of(read_stream(logs.write()).transitions) == [
        Span(1, Mode.ROOT, 1010, 1030, 0),
        Span(1, Mode.GUEST, 1030, 1040, 2),
        Span(0, Mode.ROOT, 1020, 1050, 1),
    ]


def test_exit_qualification_of_ports() -> None:
    """Bits 2:0 size less one, 3 direction, 4 string, 31:16 port (SDM, "Exit Qualification for I/O Instructions")."""
    assert decoded.io_words(0xB20040) == "OUT, 1 byte, port 0xb2"
    assert decoded.io_words(0x05000059) == "IN string, 2 bytes, port 0x500"


def test_every_smi_has_its_row_and_its_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = made(good_run(tmp_path / "run"), tmp_path, capsys)
    rows = [row for row in found.rows if row]
    assert len(rows) == 20
    assert rows[0] == ["0", "0", "port-b2", "dual-monitor", "4", "none", "70", "5,000", "5,070"]
    assert rows[5] == ["5", "0", "port-b2", "default", "0", "none", "0", "4,000", "4,000"]
    assert sum("step by step" in text for text in found.texts) == 20
    assert any("5 (I/O SMI)" in text for text in found.texts)
    assert any("STM: started" in text for text in found.texts), "the story"


def test_timeline_has_every_transition_of_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = good_run(tmp_path / "run")
    found = made(logs, tmp_path, capsys)
    stream = read_stream(logs.folder)
    (shown,) = drawn(found)
    transitions = shown["transitions"]
    assert len(transitions) == len(stream.transitions)
    bars = [
        (base, base + length, index)
        for trace in shown["timeline"]["data"]
        for base, length, index in zip(trace["base"], trace["x"], trace["customdata"], strict=True)
    ]
    assert sorted(bars) == sorted((span.begin, span.end, span.into) for span in spans_of(stream.transitions))
    assert transitions[0]["transition"] == stream.transitions[0].kind.value


def test_page_fetches_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = made(good_run(tmp_path / "run"), tmp_path, capsys)
    assert found.fetched == [] and len(found.scripts) == 2
    assert "plotly.js v" in found.scripts[0][:200]


def test_text_of_a_guest_stays_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Records are written by whoever can write a port."""
    logs = good_run(tmp_path / "run")
    logs.app("script", "line=2 cmd=%3C/script%3E%3Cscript%3Ealert(1)%3C/script%3E")
    found = made(logs, tmp_path, capsys)
    assert any("</script><script>alert(1)</script>" in text for text in found.texts)
    assert len(found.scripts) == 2


def test_run_without_a_transition(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = Logs(tmp_path / "run")
    logs.status("unavailable", "no-vmx")
    found = made(logs, tmp_path, capsys)
    assert any("There is no timeline" in text for text in found.texts) and len(found.scripts) == 1


def test_more_than_a_browser_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left out is said, and it is not the demonstration."""
    monkeypatch.setattr(page, "MOST_TRANSITIONS", 20)
    logs = Logs(tmp_path / "run")
    for _ in range(50):
        logs.default_smi()
    logs.demonstration(True)
    found = made(logs, tmp_path, capsys)
    shown = drawn(found)[0]["transitions"]
    assert len(shown) == 20 and {row["transition"] for row in shown} == {
        "smm-exit",
        "handler-entry",
        "handler-exit",
        "smm-return",
    }
    assert any("100 transitions are not drawn" in text for text in found.texts)


def test_run_is_found_by_name_or_is_the_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert cli.main(["report"]) == ExitCode.USAGE
    assert "no run is recorded" in capsys.readouterr().err
    folder = paths.runs_dir() / "20261128-000000-dual-monitor-000000"
    folder.parent.mkdir(parents=True)
    good_run(folder).write()
    (paths.runs_dir() / "20261128-000001-build-000000").mkdir()
    for words in ([], [folder.name], [str(folder)]):
        assert cli.main(["report", *words]) == 0
        assert (folder / "report.html").is_file()
        (folder / "report.html").unlink()


@pytest.mark.parametrize(
    ("words", "said"),
    [(["nowhere"], "no run with records: nowhere"), ([".", "--output", "/nowhere/x.html"], "no run with records: .")],
)
def test_refusals(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", *words]) == ExitCode.USAGE
    text = capsys.readouterr().err
    assert said in text and "remedy" in text


def test_output_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = good_run(tmp_path / "run").write()
    assert cli.main(["report", str(run), "--output", str(tmp_path / "no" / "page.html")]) == ExitCode.USAGE
    assert "--output" in capsys.readouterr().err


def test_every_boot_of_a_run_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whichever of its directories is named; one that has been removed meanwhile is left out."""
    folders = [tmp_path / name for name in ("first", "second", "third")]
    for folder in folders:
        good_run(folder).write()
    keep_together(folders)
    for folder in folders:
        assert boots_of(folder) == folders
        output = tmp_path / "page.html"
        assert cli.main(["report", str(folder), "--output", str(output)]) == 0
        found = Page(output.read_text(encoding="utf-8"))
        assert len(drawn(found)) == 3 and len([row for row in found.rows if row]) == 60
        assert any("booted 3 times" in text for text in found.texts)
    shutil.rmtree(folders[1])
    assert boots_of(folders[0]) == [folders[0], folders[2]]
    (folders[0] / "boots").write_text("../elsewhere\nother\n")
    assert boots_of(folders[0]) == [folders[0]], "a note that does not name its own directory"
    capsys.readouterr()


def test_run_that_is_removed_while_it_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = good_run(tmp_path / "run").write()

    def removed(run_dir: Path) -> Stream:
        shutil.rmtree(run_dir)
        return read_stream(run_dir)

    monkeypatch.setattr(boot, "read_stream", removed)
    assert cli.main(["report", str(folder), "--output", str(tmp_path / "page.html")]) == ExitCode.USAGE
    text = capsys.readouterr().err
    assert "cannot be read" in text and "remedy" in text


def test_folder_that_is_removed_before_the_page_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = good_run(tmp_path / "run").write()

    def removed(_name: str, _boots: object) -> str:
        shutil.rmtree(folder)
        return "page"

    monkeypatch.setattr(page, "html", removed)
    assert cli.main(["report", str(folder)]) == ExitCode.USAGE
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["x" * 300], ["a\0b"], ["--output", "y" * 300]])
def test_names_that_no_file_can_have(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = paths.runs_dir() / "20261128-000000-dual-monitor-000000"
    folder.parent.mkdir(parents=True)
    good_run(folder).write()
    assert cli.main(["report", *words]) == ExitCode.USAGE
    assert "remedy" in capsys.readouterr().err


def test_memory_map_has_no_gap_and_names_every_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run_with_image(tmp_path / "run")
    stream = read_stream(folder)
    places = read_places(folder, boot.read_boots([folder])[0].report, stream)
    assert places is not None
    for _title, rows in places.scales:
        assert all(before.end == after.base for before, after in itertools.pairwise(rows))
    assert (places.memory[0].base, places.memory[-1].end) == (0, 512 << 20)
    assert (places.tseg[0].base, places.tseg[-1].end) == (0x1F000000, 0x20000000)
    assert (places.mseg[0].base, places.mseg[-1].end) == (0x1FE00000, 0x20000000)
    assert [place.name for place in places.memory] == ["guest", "executive monitor", "guest", "TSEG"]
    assert (places.memory[1].base, places.memory[1].size) == (0x1D400000, 2 << 20)
    assert places.state == (("SMBASE of processor 0", 0x1EFF9000),)
    found = made(Logs(folder, lines={}), tmp_path, capsys)
    (shown,) = drawn(found)
    bars = [(trace["base"][0], trace["x"][0]) for trace in shown["memory"]["data"]]
    assert bars == [(place.base, place.size) for _title, rows in places.scales for place in rows]
    tables = [place for place in places.mseg if "activation" in place.name]
    assert sum(place.size for place in tables) == layout.ACTIVATION_TABLES_SIZE
    assert [(place.size // layout.PAGE, place.rule) for place in tables] == [
        (1, "data"),
        (1, "text"),
        (1, "read-only"),
        (3, "data"),
    ]
    text = next(place for place in places.mseg if place.name == "text of the STM")
    row = next(row for row in found.rows if row[:1] == [text.name])
    assert row[1:3] == [f"{text.base:#x}", f"{text.end - 1:#x}"] and row[4:8] == ["---", "---", "r-x", "---"]


def test_memory_map_of_an_image_of_others() -> None:
    data = bytearray(convert(GOOD.bytes()).data)
    data[layout.LAB_HEADER_OFFSET : layout.LAB_HEADER_OFFSET + 8] = bytes(8)
    first, rest = mseg_parts(bytes(data), 0, 1 << 21, 1)
    assert first.name == "STM image" and rest.end == 1 << 21


def test_no_memory_map_without_the_image_that_ran(tmp_path: Path) -> None:
    folder = run_with_image(tmp_path / "run")
    (folder / "Stm.mseg").write_bytes(b"another")
    assert read_places(folder, boot.read_boots([folder])[0].report, read_stream(folder)) is None


def test_permissions_are_what_the_attacks_saw(checkout: Path) -> None:
    """A place that nobody may use was attacked, and with the STM active the attack was blocked."""
    stored = json.loads((checkout / "docs/reference/attacks.json").read_text(encoding="utf-8"))["attacks"]
    seen = {attack["name"]: attack["unprotected"] for attack in stored}
    known = set(all_attacks())
    for kind, rule in RULES.items():
        assert rule.attacks and set(rule.attacks) <= known, kind
        for name in rule.attacks:
            actor, verb = name.split("-")[:2]
            column = {"guest": 0, "executive": 1, "handler": 3}[actor]
            letter = {"reads": "r", "writes": "w", "runs": "x"}[verb]
            allowed = letter in rule.access[column]
            assert seen[name] == ("succeeded" if allowed else "blocked"), f"{kind}: {name}"
        assert NOTHING in rule.access


def test_resources_attacks_and_events_have_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the run had them, and nowhere else."""
    folder = run_with_image(tmp_path / "run")
    plain = made(Logs(folder), tmp_path, capsys)
    assert not any("need" in text or "Attacks" in text or "event log" in text for text in plain.texts)
    logs = Logs(folder)
    logs.record("executive.log", "EXEC", "bios-resource", "type=io base=0xb2 length=0x2 access=rw-")
    logs.record("executive.log", "EXEC", "bios-resources", "pages=1 descriptors=1")
    logs.record(
        "executive.log",
        "EXEC",
        "event",
        "serial=1 name=protection-denied read=0 wrapped=0 resource=io base=0xb2 length=0x1 access=rw-",
    )
    logs.app("attack-begin", "name=handler-reads-mseg place=root stm=1")
    logs.app(
        "attack-step",
        "n=1 label=secret by=handler op=read a=0x8 b=0x0 c=0x0 d=0x0 result=faulted vector=14 violations=0 value=0x5",
    )
    logs.lines["machine.log"] = (folder / "machine.log").read_text().splitlines()
    logs.lines["records.log"] = [*(folder / "records.log").read_text().splitlines(), *logs.lines["records.log"]]
    for space, address in (("io", 0xB3), ("io", 0x70), ("memory", 0x1F001000), ("memory", 0xFEE00000)):
        logs.lines["machine.log"].append(
            f"smm_handler_access cpu=0 t=1 space={space} access=r address={address:#x} size=1"
        )
    found = made(logs, tmp_path, capsys)
    assert ["io 0xb2 to 0xb3 rw", "1", "r"] in found.rows
    assert ["io 0x70 rw, not declared", "touched", "rw"] in found.rows
    assert not any("0x1f001000" in cell for row in found.rows for cell in row), "SMRAM is the handler's own"
    assert any("0xfee00000" in row[0] and "not declared" in row[0] for row in found.rows if row)
    assert ["handler-reads-mseg", "secret", "handler", "read", "faulted", "0x5"] in found.rows
    assert any("protection" in row[0] for row in found.rows if len(row) == 1)
