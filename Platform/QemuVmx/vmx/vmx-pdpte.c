/*
 * VMX: the PDPTE registers of PAE paging
 *
 * Intel SDM volume 3, "PDPTE Registers", and "Loading Page-Directory-Pointer-
 * Table Entries" of VM entries.  In VMX operation the processor has the
 * registers; outside it, TCG walks the table in memory, as always.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "tcg/helper-tcg.h"
#include "tlb.h"
#include "vmx.h"
#include "vmx-parts.h"

/* Bits 2:1 and 8:5; and all from the physical-address width up. */
#define PDPTE_RESERVED_LOW      0x1e6ULL
#define PDPT_ADDRESS(cr3)       ((cr3) & 0xffffffe0ULL)

/* Writes to these bits reload the registers. */
#define CR0_LOADS_PDPTES        (CR0_PG_MASK | CR0_CD_MASK | CR0_NW_MASK)
#define CR4_LOADS_PDPTES        (CR4_PAE_MASK | CR4_PGE_MASK | CR4_PSE_MASK | \
                                 CR4_SMEP_MASK)

static bool pae_paging(uint64_t cr0, uint64_t cr4, bool lma)
{
    return (cr0 & CR0_PG_MASK) && (cr4 & CR4_PAE_MASK) && !lma;
}

bool vmx_pae_paging(CPUX86State *env)
{
    return pae_paging(env->cr[0], env->cr[4], env->efer & MSR_EFER_LMA);
}

bool vmx_pdptes_valid(CPUX86State *env, const uint64_t pdpte[4])
{
    uint64_t reserved = ~MAKE_64BIT_MASK(0, env_archcpu(env)->phys_bits) |
                        PDPTE_RESERVED_LOW;
    int i;

    for (i = 0; i < 4; i++) {
        if ((pdpte[i] & PG_PRESENT_MASK) && (pdpte[i] & reserved)) {
            return false;
        }
    }
    return true;
}

static void read_table(CPUX86State *env, hwaddr table, uint64_t pdpte[4])
{
    int i;

    for (i = 0; i < 4; i++) {
        pdpte[i] = x86_ldq_phys(env_cpu(env), table + i * 8);
    }
}

void vmx_read_pdptes(CPUX86State *env, uint64_t cr3, uint64_t pdpte[4])
{
    read_table(env, PDPT_ADDRESS(cr3), pdpte);
}

void vmx_refresh_pdptes(CPUX86State *env)
{
    if (!vmx_load_host_pdptes(env)) {
        /* There is nobody to tell: as if not present. */
        memset(env->vmx.pdpte, 0, sizeof(env->vmx.pdpte));
    }
}

/*
 * The registers are loaded before the control register, which nothing can
 * prevent any more; the guest's table is at a guest-physical address.
 */
static void load_pdptes(CPUX86State *env, uint64_t cr3, uintptr_t retaddr)
{
    hwaddr table = PDPT_ADDRESS(cr3);
    uint64_t pdpte[4];
    int prot;

    /* A read, also with accessed and dirty flags for EPT. */
    if ((env->hflags2 & HF2_EPT_MASK) &&
        !vmx_ept_translate(env, table, MMU_DATA_LOAD, &table, &prot)) {
        vmx_ept_fault_pdpte(env, retaddr);
    }
    read_table(env, table, pdpte);
    if (!vmx_pdptes_valid(env, pdpte)) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, retaddr);
    }
    memcpy(env->vmx.pdpte, pdpte, sizeof(pdpte));
    x86_flush_linear(env);
}

void vmx_write_cr_pdptes(CPUX86State *env, int reg, uint64_t value,
                         uintptr_t retaddr)
{
    bool lma = env->efer & MSR_EFER_LMA;

    switch (reg) {
    case 0:
        /* Setting PG enters IA-32e mode if LME says so. */
        lma = env->efer & MSR_EFER_LME;
        if (pae_paging(value, env->cr[4], lma) &&
            ((value ^ env->cr[0]) & CR0_LOADS_PDPTES)) {
            load_pdptes(env, env->cr[3], retaddr);
        }
        break;
    case 3:
        if (vmx_pae_paging(env)) {
            load_pdptes(env, value, retaddr);
        }
        break;
    case 4:
        if (pae_paging(env->cr[0], value, lma) &&
            ((value ^ env->cr[4]) & CR4_LOADS_PDPTES)) {
            load_pdptes(env, env->cr[3], retaddr);
        }
        break;
    default:
        break;
    }
}

void vmx_enter_pdptes(CPUX86State *env, const VMXVmcs *guest, bool ept)
{
    int i;

    if (!vmx_pae_paging(env)) {
        return;
    }
    if (!ept) {
        vmx_read_pdptes(env, env->cr[3], env->vmx.pdpte);
        return;
    }
    for (i = 0; i < 4; i++) {
        env->vmx.pdpte[i] = vmcs_read(guest, VMCS_GUEST_PDPTE0 + i * 2);
    }
}

void vmx_save_pdptes(CPUX86State *env, VMXVmcs *v)
{
    int i;

    if (!(env->hflags2 & HF2_EPT_MASK) || !vmx_pae_paging(env)) {
        return;
    }
    for (i = 0; i < 4; i++) {
        vmcs_write(v, VMCS_GUEST_PDPTE0 + i * 2, env->vmx.pdpte[i]);
    }
}

bool vmx_load_host_pdptes(CPUX86State *env)
{
    if (!vmx_pae_paging(env)) {
        return true;
    }
    vmx_read_pdptes(env, env->cr[3], env->vmx.pdpte);
    return vmx_pdptes_valid(env, env->vmx.pdpte);
}
