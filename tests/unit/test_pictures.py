# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The report's page, held against the records it is made of."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from build_scripts import cli, paths
from build_scripts.errors import ExitCode
from build_scripts.observation.events import Mode, read_stream
from build_scripts.pictures import decoded, page
from build_scripts.pictures.spans import Span, spans_of

from .streams import Logs, good_run


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


def value_of(found: Page, name: str) -> str:
    """A constant of the page's own script, in JSON."""
    match = re.search(rf"^const {name} = (.*);$", found.scripts[-1], re.M)
    assert match is not None
    return match[1]


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
    transitions = json.loads(value_of(found, "transitions"))
    assert len(transitions) == len(stream.transitions)
    bars = [
        (base, base + length, index)
        for trace in json.loads(value_of(found, "picture"))["data"]
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
    drawn = json.loads(value_of(found, "transitions"))
    assert len(drawn) == 20 and {row["transition"] for row in drawn} == {
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
