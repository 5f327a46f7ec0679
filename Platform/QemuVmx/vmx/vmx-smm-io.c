/*
 * VMX: information about the I/O instruction that raised an SMI
 *
 * Intel SDM volume 3, "Recording VM-Exit Information" of SMM VM exits
 * (34.15.2.3 in the 2016 edition).
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/cpu-common.h"
#include "exec/translation-block.h"
#include "tcg/helper-tcg.h"
#include "vmx.h"
#include "vmx-parts.h"

/* Exit qualification of reason 5 (I/O SMI), as for I/O instructions. */
#define IO_SMI_QUAL_IN          (1u << 3)
#define IO_SMI_QUAL_STRING      (1u << 4)
#define IO_SMI_QUAL_REP         (1u << 5)
#define IO_SMI_QUAL_IMM         (1u << 6)
#define IO_SMI_QUAL_PORT_SHIFT  16

#define INSN_MAX_LENGTH         15

typedef struct IOInsn {
    bool string;
    bool rep;
    bool imm;
    int segment;
    int address_size;
    unsigned length;
} IOInsn;

/*
 * Decode the I/O instruction at CS:@rip.  It is known to be one, because its
 * helper is running; only its form has to be found out.  The bytes are read
 * without side effects, so that an access can neither fault nor set accessed
 * flags.
 */
static bool io_insn_decode(CPUX86State *env, uint64_t rip, IOInsn *insn)
{
    const bool code64 = env->hflags & HF_CS64_MASK;
    const bool code32 = env->hflags & HF_CS32_MASK;
    uint8_t bytes[INSN_MAX_LENGTH];
    target_ulong linear = env->segs[R_CS].base + rip;
    size_t available = sizeof(bytes);
    bool addr_prefix = false;
    unsigned i;

    if (!code64) {
        linear = (uint32_t)linear;
    }
    /* The bytes of the following page need not be mapped. */
    if (cpu_memory_rw_debug(env_cpu(env), linear, bytes, available, false)) {
        available = MIN(available, TARGET_PAGE_SIZE -
                                   (linear & ~TARGET_PAGE_MASK));
        if (cpu_memory_rw_debug(env_cpu(env), linear, bytes, available,
                                false)) {
            return false;
        }
    }

    *insn = (IOInsn){ .segment = R_DS };
    for (i = 0; i < available; i++) {
        switch (bytes[i]) {
        case 0x26:
            insn->segment = code64 ? insn->segment : R_ES;
            continue;
        case 0x2e:
            insn->segment = code64 ? insn->segment : R_CS;
            continue;
        case 0x36:
            insn->segment = code64 ? insn->segment : R_SS;
            continue;
        case 0x3e:
            insn->segment = code64 ? insn->segment : R_DS;
            continue;
        case 0x64:
            insn->segment = R_FS;
            continue;
        case 0x65:
            insn->segment = R_GS;
            continue;
        case 0x66:
            continue;
        case 0x67:
            addr_prefix = true;
            continue;
        case 0xf2:
        case 0xf3:
            insn->rep = true;
            continue;
        case 0x40 ... 0x4f:
            if (code64) {
                continue;
            }
            return false;
        case 0x6c ... 0x6d:                     /* INS */
            insn->segment = R_ES;
            /* fall through */
        case 0x6e ... 0x6f:                     /* OUTS */
            insn->string = true;
            insn->length = i + 1;
            break;
        case 0xe4 ... 0xe7:                     /* IN, OUT imm8 */
            insn->imm = true;
            insn->length = i + 2;
            break;
        case 0xec ... 0xef:                     /* IN, OUT DX */
            insn->length = i + 1;
            break;
        default:
            return false;
        }
        break;
    }
    if (!insn->length) {
        return false;
    }
    insn->rep &= insn->string;
    if (code64) {
        insn->address_size = addr_prefix ? 32 : 64;
    } else {
        insn->address_size = code32 != addr_prefix ? 32 : 16;
    }
    return true;
}

/* Linear address of the string operand (DM-EXI-22, DM-EXI-23). */
static uint64_t io_insn_linear(CPUX86State *env, const IOInsn *insn, bool in)
{
    uint64_t offset = env->regs[in ? R_EDI : R_ESI] &
                      MAKE_64BIT_MASK(0, insn->address_size);
    uint64_t base = env->segs[insn->segment].base;

    if (env->hflags & HF_CS64_MASK) {
        if (insn->segment != R_FS && insn->segment != R_GS) {
            base = 0;
        }
        return base + offset;
    }
    return (uint32_t)(base + offset);
}

/*
 * Called by the helpers for IN and OUT after the access, if the access has
 * made an SMI pending.  General registers are still as before the instruction.
 */
void vmx_io_smi_record(CPUX86State *env, uint32_t port, uint32_t size, bool in,
                       uintptr_t retaddr)
{
    X86VMXIoSmi *io = &env->vmx.smm.io;
    uint64_t rip;
    IOInsn insn;

    /* Only an SMI that is taken at once can be due to this instruction. */
    if (!env->vmx.smm.active || vmx_smi_blocked(env) ||
        (env->hflags & HF_SMM_MASK)) {
        return;
    }
    if (!vmx_unwind_eip(env, retaddr, &rip) ||
        !io_insn_decode(env, rip, &insn)) {
        return;
    }

    io->rip = rip;
    io->next_rip = rip + insn.length;
    if (!(env->hflags & HF_CS64_MASK)) {
        io->next_rip = (uint32_t)io->next_rip;
    }
    io->rcx = env->regs[R_ECX];
    io->rsi = env->regs[R_ESI];
    io->rdi = env->regs[R_EDI];
    io->linear = 0;
    io->qualification = (size - 1) | ((uint64_t)port << IO_SMI_QUAL_PORT_SHIFT);
    if (in) {
        io->qualification |= IO_SMI_QUAL_IN;
    }
    if (insn.string) {
        io->qualification |= IO_SMI_QUAL_STRING;
        io->linear = io_insn_linear(env, &insn, in);
    }
    if (insn.rep) {
        io->qualification |= IO_SMI_QUAL_REP;
    }
    if (insn.imm) {
        io->qualification |= IO_SMI_QUAL_IMM;
    }
    io->valid = true;
}

/*
 * True if the SMI about to be taken follows the recorded instruction directly
 * (DM-EXI-14).  A REP string instruction is interrupted with RIP still at it;
 * the SDM does not say which registers are reported then, here those before its
 * last completed iteration.
 */
bool vmx_io_smi_matches(CPUX86State *env)
{
    const X86VMXIoSmi *io = &env->vmx.smm.io;

    return io->valid && (env->eip == io->next_rip ||
                         ((io->qualification & IO_SMI_QUAL_REP) &&
                          env->eip == io->rip));
}
