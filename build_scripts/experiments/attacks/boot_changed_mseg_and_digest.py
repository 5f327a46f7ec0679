# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler changes the STM and the digest that the STM will compare with, before its activation."""

import struct
from hashlib import sha256

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import NONE, SUCCEEDED, activated
from build_scripts.stm_image import layout

_BYTE, _VALUE = 0xFF0, 0x55
_DIGEST_IN_LOADER_DATA = 0x30


def _write_digest(image: bytes) -> str:
    """Steps that write the digest of the changed static part over the loader's."""
    static = bytearray(image[: layout.read_software_header(image).static_image_size])
    static[_BYTE] = _VALUE
    place = len(static) + layout.ACTIVATION_TABLES_SIZE + _DIGEST_IN_LOADER_DATA
    words = struct.unpack("<4Q", sha256(static).digest())
    return " ".join(f"smm.write:8:mseg+{place + 8 * index:x}:{word:x}" for index, word in enumerate(words))


ATTACK = Attack(
    attacker=Attacker.BOOT,
    goal="change MSEG and the digest in it between the load of the STM and its activation",
    steps=f"smm.write:1:mseg+{_BYTE:x}:{_VALUE:x}",
    further=_write_digest,
    judge=activated(),
    expects=(NONE, SUCCEEDED, NONE),
    reason="who compares and what he compares with are both in MSEG, which SMM code of the default treatment can write",
    place=Place.NATIVE,
    image=bytes,
    then=("ExecMon.efi start",),
)
