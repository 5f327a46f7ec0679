/** @file
  Domain/: the VMCS database, in which the executive monitor says for each of its
  guests what the SMI handler may see and change of it.

  Pure code: compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_DOMAIN_H_
#define STM_DOMAIN_H_

#include <Base.h>
#include <Register/Intel/StmApi.h>

///
/// What the database tells of a VMCS.
///
#define STM_DOMAIN_TYPE(Policy)         ((Policy) & 0xF)
#define STM_DOMAIN_XSTATE(Policy)       (((Policy) >> 4) & 3)
#define STM_DOMAIN_DEGRADATION(Policy)  (((Policy) >> 6) & 0xF)
#define STM_DOMAIN_POLICY(Type, XState, Degradation) \
  ((UINT32)(Type) | ((UINT32)(XState) << 4) | ((UINT32)(Degradation) << 6))
#define STM_DOMAIN_PRESENT  BIT11

///
/// A hash table with open addressing. One word is one record, so a processor in an
/// SMI reads it while another one changes the table. Not all places are used: that
/// keeps the way to a record short.
///
/// The places are where an entry with bit 0 would refer to a page (Init/Divide.c), so bit 0
/// of each is 0.
///
#define STM_DOMAIN_PLACES  256
#define STM_DOMAIN_LIMIT   192

typedef struct {
  UINT32    Lock;     ///< of those who change it
  UINT32    Count;    ///< records; with none, no SMI looks for any
  UINT64    *Places;  ///< STM_DOMAIN_PLACES
} STM_DOMAINS;

/**
  Find a VMCS in the database.

  @param[in] Domains  The database. Another processor may change it meanwhile.
  @param[in] Vmcs     Physical address of the VMCS, or of the VMXON region.

  @return STM_DOMAIN_POLICY and STM_DOMAIN_PRESENT, 0 if it is not there.
**/
UINT32
EFIAPI
StmDomainFind (
  IN CONST STM_DOMAINS  *Domains,
  IN UINT64             Vmcs
  );

/**
  Serve a request of MANAGE_VMCS_DATABASE. One processor at a time.

  @param[in,out] Domains  The database.
  @param[in]     Request  A copy of the request; the caller has checked that its VMCS
                          is the executive monitor's.

  @retval STM_SUCCESS                      Done.
  @retval ERROR_INVALID_PARAMETER          A reserved bit is set, or AddOrRemove or, to
                                           add, XStatePolicy is none.
  @retval ERROR_STM_INVALID_VMCS_DATABASE  To add: it is there. To remove: it is not.
  @retval ERROR_STM_OUT_OF_RESOURCES       To add: the database is full.
**/
UINT32
EFIAPI
StmDomainManage (
  IN OUT STM_DOMAINS                      *Domains,
  IN     CONST STM_VMCS_DATABASE_REQUEST  *Request
  );

///
/// What a domain type means for one SMI.
///
typedef struct {
  UINT32    Type;     ///< in force: the one of the database, or less
  UINT32    Shown;    ///< bits of RAX that the handler sees, and DX, in spite of CONFIDENTIALITY
  UINT32    Taken;    ///< bits of RAX that it can change in spite of it and of INTEGRITY
} STM_DOMAIN_SMI;

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
  );

#endif
