# SPDX-License-Identifier: BSD-2-Clause-Patent
"""All experiments, in the order in which ``run --list`` shows them."""

from __future__ import annotations

from typing import Any

from build_scripts.experiments.attacking.experiment import Attacks
from build_scripts.experiments.events import Events
from build_scripts.experiments.experiment import Experiment
from build_scripts.experiments.first_light import FirstLight
from build_scripts.experiments.kvm import Kvm
from build_scripts.experiments.linux_guest import LinuxExperiment
from build_scripts.experiments.linux_mle import LinuxMle
from build_scripts.experiments.linux_standby import LinuxStandby
from build_scripts.experiments.measured import Measured
from build_scripts.experiments.plain_vmm import PlainVmm
from build_scripts.experiments.resources import Resources
from build_scripts.experiments.standby import Standby

EXPERIMENTS: tuple[Experiment[Any], ...] = (
    FirstLight(),
    PlainVmm(),
    Resources(),
    Events(),
    Measured(),
    Standby(),
    LinuxExperiment(),
    LinuxStandby(),
    LinuxMle(),
    Kvm(),
    Attacks(),
)
NAMES = tuple(experiment.name for experiment in EXPERIMENTS)


def find(name: str) -> Experiment[Any]:
    """The experiment of that name, which the command line has checked."""
    return next(experiment for experiment in EXPERIMENTS if experiment.name == name)
