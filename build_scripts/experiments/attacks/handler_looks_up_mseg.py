# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler uses the STM to find its way into MSEG."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, refused_unlike

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="have ADDRESS_LOOKUP tell the address of a page of MSEG",
    steps=(
        "cr3=rdcr:3 own=smm.rdcr:3 smm.write:8:$own+800:page smm.write:4:$own+808:8 "
        "smm.write:8:$own+80c:$cr3 smm.write:8:$own+814:0 smm.write:4:$own+81c:14 smm.write:4:$own+820:0 "
        "ok=smm.vmcall:3:$own+800:0:0 smm.write:8:$own+800:mseg hit=smm.vmcall:3:$own+800:0:0 "
        "smm.write:8:$own+800:0 smm.write:8:$own+808:0 smm.write:8:$own+810:0 smm.write:8:$own+818:0 "
        "smm.write:8:$own+820:0 smm.write:8:$own+828:0"
    ),
    judge=refused_unlike("ok", "hit"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="the STM: ERROR_STM_SECURITY_VIOLATION",
    reason="without the STM there is nobody to call: #UD",
)
