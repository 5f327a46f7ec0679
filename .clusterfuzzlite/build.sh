#!/bin/bash -eu
# SPDX-License-Identifier: BSD-2-Clause-Patent
# CC, CXX, CFLAGS and LIB_FUZZING_ENGINE come from the builder; the targets are listed in tests/fuzz/targets.toml.
python3 -m build_scripts.fuzzing.build "$SRC/edk2" "$OUT"
