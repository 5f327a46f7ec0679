/** @file
  What a domain type means for one SMI.

  The firmware may have asked to be told of accesses to ports, in a list of trapped I/O
  ports. An instruction of the guest that touches one of these is meant for the SMI
  handler: to serve it, it has to see, or to change, the operand. A domain that excludes
  even that loses part of its protection for the SMI, as far as the executive monitor
  allows.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Domain.h"

///
/// Exit qualification of an I/O SMI: size of the access - 1, and its direction.
///
#define IO_SIZE   7
#define IO_INPUT  BIT3

/**
  The bits of RAX that an access to a port uses.

  @param[in] Qualification  Exit qualification of an I/O SMI.

  @return AL, AX or EAX.
**/
STATIC
UINT32
Accumulator (
  IN UINT64  Qualification
  )
{
  switch (Qualification & IO_SIZE) {
    case 0:
      return MAX_UINT8;
    case 1:
      return MAX_UINT16;
    default:
      return MAX_UINT32;
  }
}

/**
  Tell what the handler may see and change of an interrupted domain.

  @param[in]  Policy         From StmDomainFind.
  @param[in]  Trap           The firmware's descriptor of the port whose access caused
                             the SMI, NULL if there is none.
  @param[in]  Qualification  Exit qualification, if Trap is not NULL.
  @param[out] Smi            What holds for this SMI.

  @retval TRUE   Done.
  @retval FALSE  The SMI takes a degradation that the executive monitor excludes.
**/
BOOLEAN
EFIAPI
StmDomainJudge (
  IN  UINT32                         Policy,
  IN  CONST STM_RSC_TRAPPED_IO_DESC  *Trap,
  IN  UINT64                         Qualification,
  OUT STM_DOMAIN_SMI                 *Smi
  )
{
  UINT32   Type;
  BOOLEAN  Input;

  Type       = STM_DOMAIN_TYPE (Policy);
  Smi->Type  = Type;
  Smi->Shown = 0;
  Smi->Taken = 0;
  if ((Trap == NULL) || (Type == DOMAIN_UNPROTECTED)) {
    return TRUE;
  }

  Input = (BOOLEAN)((Qualification & IO_INPUT) != 0);
  if (Trap->Api != 0) {
    //
    // A call of the firmware by registers: they are all meant for it.
    //
    Smi->Type = DOMAIN_UNPROTECTED;
  } else if (Input && (Trap->In != 0)) {
    Smi->Type  = Type & ~(UINT32)DOMAIN_DISALLOWED_IO_IN;
    Smi->Shown = Accumulator (Qualification);
    Smi->Taken = Smi->Shown;
  } else if (!Input && (Trap->Out != 0)) {
    Smi->Type  = Type & ~(UINT32)DOMAIN_DISALLOWED_IO_OUT;
    Smi->Shown = Accumulator (Qualification);
  }

  return (BOOLEAN)((Type & ~Smi->Type & STM_DOMAIN_DEGRADATION (Policy)) == 0);
}
