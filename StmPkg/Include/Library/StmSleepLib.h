/** @file
  What the ACPI tables say about sleep: which port, which value of SLP_TYP for
  which state. The values are the chipset's own affair, so nobody may know them
  by heart: S3 is 1 on q35 and 5 on many PCs.

  Free of firmware services. It also compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_SLEEP_LIB_H_
#define STM_SLEEP_LIB_H_

///
/// PM1 control register (ACPI, "PM1 Control Registers").
///
#define STM_PM1_SLP_TYP_SHIFT  10
#define STM_PM1_SLP_TYP_MASK   0x1C00
#define STM_PM1_SLP_EN         0x2000

#define STM_SLEEP_STATES     6          ///< S0 to S5
#define STM_SLEEP_NOT_THERE  0xFF       ///< the platform does not have the state

typedef struct {
  UINT64    Facs;                                   ///< physical address of the FACS, 0 without one
  UINT16    ControlPort;                            ///< PM1a_CNT
  UINT8     Type[STM_SLEEP_STATES];                 ///< SLP_TYP for PM1a_CNT, by state
  UINT16    ControlPortB;                           ///< PM1b_CNT, 0 without one
} STM_SLEEP;

/**
  Read what the fixed ACPI description table, and the DSDT that it names, say
  about sleep.

  A state's SLP_TYP is the first element of the package that the DSDT calls _S0_
  to _S5_. No AML is executed: what is computed is not found.

  @param[in]  Fadt   The table; it and the DSDT are mapped at their addresses.
  @param[out] Sleep  What they say.

  @retval TRUE   There is a port.
  @retval FALSE  There is none in I/O space (hardware-reduced ACPI), or the table
                 is too short.
**/
BOOLEAN
EFIAPI
StmSleepRead (
  IN  CONST VOID  *Fadt,
  OUT STM_SLEEP   *Sleep
  );

/**
  The sleep state that a write to the control port asks for.

  @param[in] Sleep  From StmSleepRead.
  @param[in] Value  What is written to PM1a_CNT.

  @return 0 to 5; STM_SLEEP_NOT_THERE if the write asks for none, or for one that
          the platform does not have.
**/
UINT8
EFIAPI
StmSleepState (
  IN CONST STM_SLEEP  *Sleep,
  IN UINT16           Value
  );

#endif
