# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Entries of the STM's event log and domains: in words, in JSON, and each once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import jsonschema
import pytest

from build_scripts.errors import ExitCode, LabError
from build_scripts.experiments import document
from build_scripts.experiments.events import CAUSED, QUIET, SCRIPT, Events
from build_scripts.experiments.experiment import Request
from build_scripts.observation.event_log import StmEvent, domain_words, event_words, type_name
from build_scripts.observation.events import RecordError, parse_record

from .seen import booted, complaints, seen
from .streams import Logs

MEMORY = "resource=memory base=0x1000 length=0x1000 access=rwx"
GRANTED = f"serial=1 name=protection-granted read=0 wrapped=0 {MEMORY}"
PCI = "resource=pci base=0x60 length=0x4 access=w bus=0 nodes=1 device=31 function=0"
DOMAIN = "cpu=0 vmcs=0x2000 added=1 type=12 xstate=3 degradation=0"


def event(fields: str) -> StmEvent:
    return StmEvent.of(parse_record(f"EXEC: ev=event t=1 {fields}"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("serial=0 name=log-started read=0 wrapped=0", "log started"),
        (GRANTED, "protection granted: memory 0x1000 to 0x1fff rwx"),
        (f"serial=2 name=unprotect read=0 wrapped=0 {PCI}", "unprotect: PCI 00:1f.0, register 0x60 to 0x63 w"),
        (
            "serial=3 name=unclaimed-resource read=1 wrapped=0 resource=msr base=0x9b length=0x1 access=w",
            "unclaimed resource: MSR 0x9b w",
        ),
        (
            "serial=4 name=protection-denied read=0 wrapped=0 resource=all base=0x0 length=0x0 access=rwx",
            "protection denied: all",
        ),
        ("serial=5 name=invalid-parameter read=0 wrapped=0 api=0x10003", "invalid parameter: call 0x10003"),
        (
            "serial=6 name=domain-type-degraded read=0 wrapped=1 vmcs=0x2000 expected=13 degraded=12",
            "domain type degraded: VMCS 0x2000, io-out,integrity,confidentiality served as integrity,confidentiality",
        ),
    ],
)
def test_event_in_words_and_json(fields: str, words: str) -> None:
    found = event(fields)
    assert found.words == words
    definitions = json.loads(document.SCHEMA_FILE.read_text(encoding="utf-8"))["$defs"]
    jsonschema.validate(found.as_json(), {"$defs": definitions, "$ref": "#/$defs/stm-event"})
    told = event_words(found.record)
    assert told == f"STM's event log: {found.serial}, {words}" + (" (read before)" if found.read else "")


def test_event_without_a_number_is_an_error() -> None:
    with pytest.raises(RecordError, match="serial=None"):
        event("name=log-started read=0 wrapped=0")


def test_names_of_domain_types() -> None:
    assert [type_name(bits) for bits in (0, 1, 8, 15)] == [
        "unprotected",
        "io-out",
        "confidentiality",
        "io-out,io-in,integrity,confidentiality",
    ]
    record = parse_record(f"EXEC: ev=domain t=1 {DOMAIN}")
    assert domain_words(record).endswith("is a domain: integrity,confidentiality, XState scrub")
    gone = parse_record("EXEC: ev=domain t=1 cpu=1 vmcs=0x2000 added=0 type=0 xstate=0 degradation=0")
    assert domain_words(gone) == "executive monitor: the guest of processor 1 is no domain of the STM's any more"


def told(name: str) -> str:
    """The fields of an event, as the experiment names it: its type, and what it is about."""
    kind, _, about = name.partition(" ")
    if about.startswith("0x"):
        return f"name={kind} api={about}"
    return f"name={kind} resource={about}" if about else f"name={kind}"


def run(folder: Path, *, noise: tuple[str, ...] = (), hidden: int = 0) -> list[str]:
    """Logs of the experiment's boot; the complaints about it."""
    logs = Logs(folder)
    logs.app("script", "line=1 cmd=x")
    logs.plain_smi()
    serial = 0

    def log(names: Iterable[str]) -> None:
        nonlocal serial
        for name in names:
            logs.record("executive.log", "EXEC", "event", f"serial={serial} read=0 wrapped=0 {told(name)}")
            serial += 1
        logs.record("executive.log", "EXEC", "event-log", f"entries={serial} places=32")

    log((*QUIET, *noise))
    for name, value in (("shown", 0x1234), ("hidden", hidden)):
        logs.app("attack-begin", f"name={name} place=guest stm=1")
        logs.app("attack-step", f"n=1 result=done value={value:#x}")
    logs.record("executive.log", "EXEC", "domain", DOMAIN)
    # The second reading shows again what was read before.
    logs.record("executive.log", "EXEC", "event", "serial=0 read=1 wrapped=0 name=log-started")
    log(CAUSED)
    return complaints(Events().expectations(seen(folder, booted(logs)))).splitlines()


def test_good_run_meets_every_expectation(tmp_path: Path) -> None:
    assert run(tmp_path) == []


def test_noise_of_the_stm_fails(tmp_path: Path) -> None:
    (complaint,) = run(tmp_path, noise=("unclaimed-resource msr",))
    assert complaint.startswith("events of the firmware's own SMIs: expected log-started, saw log-started; unclaimed")


def test_confidential_domain_that_is_seen_fails(tmp_path: Path) -> None:
    (complaint,) = run(tmp_path, hidden=0x1234)
    assert complaint == "RIP of the guest that is a confidential domain: expected 0, saw 4,660"


def test_machine_has_the_handler_with_the_users_script_too(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("reset -s\n")
    experiment = Events()
    (own,) = experiment.courses(Request(experiment="events"))
    (users,) = experiment._asked(Request(experiment="events", script=script))
    assert own.script == SCRIPT and users.script == ("reset -s",)
    assert own.fw_cfg == users.fw_cfg == ("opt/org.stmlab/test-handler=1",)
    assert QUIET == ["log-started"]


def test_what_the_experiment_passes_itself_is_refused() -> None:
    """The user has given the name once."""
    request = Request(experiment="events", fw_cfg=("opt/org.stmlab/test-handler=1",))
    with pytest.raises(LabError, match=r"the experiment events passes opt/org.stmlab/test-handler=1 itself") as caught:
        Events().check(request)
    assert caught.value.code == ExitCode.USAGE and caught.value.remedy
