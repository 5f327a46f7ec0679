# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What became of each attack in each column, as facts, as a table and in detail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from build_scripts.experiments.attacking.attack import Attack, Attacker, Column, Outcome, Trace, Verdict
from build_scripts.tables import compact_table, hyphenated

_NOT_TRIED = Verdict(Outcome.NOT_APPLICABLE, "not tried: it makes no sense here")
_SHORT = {Outcome.SUCCEEDED: "succeeded", Outcome.BLOCKED: "blocked", Outcome.NOT_APPLICABLE: "-", None: "not seen"}


@dataclass(frozen=True)
class Row:
    """One attack.

    Attributes:
        traces: what it left in the columns in which it was tried.
        verdicts: what that means, in each column.
    """

    name: str
    attack: Attack
    traces: Mapping[Column, Trace]
    verdicts: Mapping[Column, Verdict]

    @classmethod
    def of(cls, name: str, attack: Attack, traces: Mapping[Column, Trace]) -> Row:
        """Judge what was left."""
        verdicts = {}
        for column in Column:
            if not attack.applies(column):
                verdicts[column] = _NOT_TRIED
            elif column in traces:
                verdicts[column] = attack.verdict(column, traces[column])
            else:
                verdicts[column] = Verdict(None, "it was never begun")
        return cls(name, attack, traces, verdicts)

    def outcome(self, column: Column) -> Outcome | None:
        """What became of it."""
        return self.verdicts[column].outcome

    def complaints(self) -> list[str]:
        """What is not as the attack declares it."""
        found = []
        for column in Column:
            verdict, wanted = self.verdicts[column], self.attack.expected(column)
            if verdict.outcome is not wanted:
                seen = "its outcome could not be seen" if verdict.outcome is None else f"it {_word(verdict.outcome)}"
                found.append(f"{self.name}, {column.value}: {seen}, not {wanted.value}: {verdict.seen}")
        return found

    def as_json(self) -> dict[str, Any]:
        """The schema's definition ``attack``."""
        outcomes = {column: self.outcome(column) for column in Column}
        return {
            "name": self.name,
            "attacker": self.attack.attacker.value,
            "goal": self.attack.goal,
            **{column.value: None if outcome is None else outcome.value for column, outcome in outcomes.items()},
            "stopped_by": self.attack.stopped_by or None,
            "reason": self.attack.reason or None,
            "seen": {column.value: verdict.seen for column, verdict in self.verdicts.items()},
        }


def _word(outcome: Outcome) -> str:
    return {Outcome.SUCCEEDED: "succeeded", Outcome.BLOCKED: "was blocked"}.get(outcome, "did not apply")


# Beside the three verdicts it leaves the reason as many columns of a terminal of 80.
_NAME_WIDTH = 20


def table(rows: Iterable[Row]) -> Table:
    """The table of a run."""
    made = compact_table(
        "Attacks",
        words=("Attack", "No STM", "STM", "STM,\nprotecting", "What stops it, or why nothing does"),
        numbers=(),
    )
    last: Attacker | None = None
    for row in rows:
        if row.attack.attacker is not last:
            last = row.attack.attacker
            made.add_row(f"[bold]by {_article(last)}[/bold]", "", "", "", "")
        outcomes = (_SHORT[row.outcome(column)] for column in Column)
        made.add_row(hyphenated(row.name, _NAME_WIDTH), *outcomes, row.attack.stopped_by or row.attack.reason)
    return made


def _article(attacker: Attacker) -> str:
    match attacker:
        case Attacker.BOOT:
            return "whoever changes what is booted"
        case Attacker.HANDLER | Attacker.EXECUTIVE:
            return f"an {attacker.value}"
    return f"a {attacker.value}"


def detail(row: Row) -> list[str]:
    """Everything about one attack, for people."""
    attack = row.attack
    lines = [f"{row.name}: {_article(attack.attacker)} wants to {attack.goal}"]
    lines += [f"stopped by: {attack.stopped_by}"] if attack.stopped_by else []
    lines += [f"not stopped: {attack.reason}"] if attack.reason else []
    for column in Column:
        verdict = row.verdicts[column]
        outcome = "not seen" if verdict.outcome is None else verdict.outcome.value
        lines += ["", f"{column.value}: {outcome}; {verdict.seen}"]
        if (trace := row.traces.get(column)) is None:
            continue
        # A trace may end early; the words say what should have come.
        for word, step in zip(attack.words(column), trace.steps, strict=False):
            lines.append(f"  {word:<44} {step.answer}")
        if trace.crash is not None:
            lines.append(f"  {trace.crash}")
    return lines
