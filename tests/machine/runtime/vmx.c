/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* VMX operation and VMCS set-up, see vmx.h. */
#include "vmx.h"

#define FEATURE_CONTROL_LOCK  1u
#define FEATURE_CONTROL_VMXON 4u
#define RIGHTS_CODE64         0xA09Bu
#define RIGHTS_DATA           0xC093u
#define RIGHTS_TSS            0x8Bu
#define RIGHTS_UNUSABLE       0x10000u

extern volatile uint64_t recover_rsp;

uint64_t vmxon_region;
struct vm_registers guest;
struct vm_exit last_exit;

static uint8_t guest_stack[16384] __attribute__((aligned(16)));

uint64_t guest_stack_top(void)
{
    return phys(guest_stack) + sizeof(guest_stack) - 16;
}

bool vmx_supported(void)
{
    uint32_t r[4];

    cpuid(1, 0, r);
    return r[2] & (1u << 5);
}

uint64_t rd(uint64_t field)
{
    uint64_t value = 0;

    return vmread_flags(field, &value) ? UINT64_MAX : value;
}

void wr(uint64_t field, uint64_t value)
{
    uint64_t flags = vmwrite_flags(field, value);

    if (flags) {
        panic("vmwrite field=%q value=%q flags=%q", field, value, flags);
    }
}

uint32_t vmcs_revision(void)
{
    return (uint32_t)rdmsr(MSR_VMX_BASIC) & 0x7FFFFFFF;
}

uint64_t vmcs_alloc(void)
{
    uint64_t region = phys(page_alloc());

    write32(region, vmcs_revision());
    return region;
}

void vmx_prepare(void)
{
    if (!vmx_supported()) {
        panic("CPUID reports no VMX");
    }
    if (!(rdmsr(MSR_FEATURE_CONTROL) & FEATURE_CONTROL_LOCK)) {
        wrmsr(MSR_FEATURE_CONTROL, FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMXON);
    }
    write_cr0((read_cr0() | rdmsr(MSR_VMX_CR0_FIXED0)) &
              rdmsr(MSR_VMX_CR0_FIXED1));
    write_cr4((read_cr4() | rdmsr(MSR_VMX_CR4_FIXED0)) &
              rdmsr(MSR_VMX_CR4_FIXED1));
    if (!vmxon_region) {
        vmxon_region = vmcs_alloc();
    }
}

void vmx_start(void)
{
    uint64_t flags;

    vmx_prepare();
    flags = vmxon(vmxon_region);
    if (flags) {
        panic("vmxon flags=%q", flags);
    }
}

uint64_t capability(uint32_t msr)
{
    if (msr >= MSR_VMX_TRUE_PIN && msr <= MSR_VMX_TRUE_ENTRY &&
        !(rdmsr(MSR_VMX_BASIC) >> 55 & 1)) {
        msr -= MSR_VMX_TRUE_PIN - MSR_VMX_PIN;
    }
    return rdmsr(msr);
}

uint32_t controls(uint32_t capability_msr, uint32_t wanted)
{
    uint64_t allowed = capability(capability_msr);

    return (wanted | (uint32_t)allowed) & (uint32_t)(allowed >> 32);
}

uint64_t vmcs_new(void)
{
    uint64_t region = vmcs_alloc();
    uint64_t flags = vmclear(region) | vmptrld(region);

    if (flags) {
        panic("vmclear, vmptrld flags=%q", flags);
    }
    return region;
}

void vmcs_host_state(void)
{
    wr(F_HOST_CR0, read_cr0());
    wr(F_HOST_CR3, read_cr3());
    wr(F_HOST_CR4, read_cr4());
    wr(F_HOST_ES, SEL_DATA64);
    wr(F_HOST_CS, SEL_CODE64);
    wr(F_HOST_SS, SEL_DATA64);
    wr(F_HOST_DS, SEL_DATA64);
    wr(F_HOST_FS, SEL_DATA64);
    wr(F_HOST_GS, SEL_DATA64);
    wr(F_HOST_TR, SEL_TSS);
    wr(F_HOST_FS_BASE, 0);
    wr(F_HOST_GS_BASE, 0);
    wr(F_HOST_TR_BASE, phys(tss));
    wr(F_HOST_GDTR_BASE, read_gdtr().base);
    wr(F_HOST_IDTR_BASE, read_idtr().base);
    wr(F_HOST_SYSENTER_CS, 0);
    wr(F_HOST_SYSENTER_ESP, 0);
    wr(F_HOST_SYSENTER_EIP, 0);
    wr(F_HOST_EFER, rdmsr(MSR_EFER));
    wr(F_HOST_PAT, rdmsr(MSR_PAT));
}

static void guest_segments(void)
{
    static const uint16_t selectors[] = {
        SEL_DATA64, SEL_CODE64, SEL_DATA64, SEL_DATA64,
        SEL_DATA64, SEL_DATA64, 0,          SEL_TSS,
    };

    for (unsigned seg = SEG_ES; seg <= SEG_TR; seg++) {
        wr(F_GUEST_ES + 2 * seg, selectors[seg]);
        wr(F_LIMIT(seg), seg == SEG_TR ? 0x67 : 0xFFFFFFFF);
        wr(F_BASE(seg), seg == SEG_TR ? phys(tss) : 0);
        wr(F_RIGHTS(seg), seg == SEG_CS     ? RIGHTS_CODE64
                          : seg == SEG_LDTR ? RIGHTS_UNUSABLE
                          : seg == SEG_TR   ? RIGHTS_TSS
                                            : RIGHTS_DATA);
    }
    wr(F_GUEST_GDTR_BASE, phys(gdt));
    wr(F_GUEST_GDTR_LIMIT, read_gdtr().limit);
    wr(F_GUEST_IDTR_BASE, read_idtr().base);
    wr(F_GUEST_IDTR_LIMIT, read_idtr().limit);
}

void vmcs_fill_guest(void (*entry)(void))
{
    wr(F_PIN, controls(MSR_VMX_TRUE_PIN, 0));
    wr(F_PROC, controls(MSR_VMX_TRUE_PROC, 0));
    wr(F_EXIT, controls(MSR_VMX_TRUE_EXIT, EXIT_HOST_64));
    wr(F_ENTRY, controls(MSR_VMX_TRUE_ENTRY, ENTRY_IA32E));
    wr(F_EXCEPTION_BITMAP, 0);
    wr(F_PF_MASK, 0);
    wr(F_PF_MATCH, 0);
    wr(F_CR3_TARGETS, 0);
    wr(F_EXIT_STORE_COUNT, 0);
    wr(F_EXIT_LOAD_COUNT, 0);
    wr(F_ENTRY_LOAD_COUNT, 0);
    wr(F_ENTRY_INTR, 0);
    wr(F_CR0_MASK, 0);
    wr(F_CR4_MASK, 0);
    wr(F_CR0_SHADOW, read_cr0());
    wr(F_CR4_SHADOW, read_cr4());
    wr(F_TSC_OFFSET, 0);
    vmcs_host_state();

    guest_segments();
    wr(F_GUEST_CR0, read_cr0());
    wr(F_GUEST_CR3, read_cr3());
    wr(F_GUEST_CR4, read_cr4());
    wr(F_GUEST_DR7, 0x400);
    wr(F_GUEST_RSP, guest_stack_top() - 8);
    wr(F_GUEST_RIP, phys((void *)entry));
    wr(F_GUEST_RFLAGS, 2);
    wr(F_GUEST_DEBUGCTL, 0);
    wr(F_GUEST_PAT, rdmsr(MSR_PAT));
    wr(F_GUEST_EFER, rdmsr(MSR_EFER));
    wr(F_GUEST_SYSENTER_CS, 0);
    wr(F_GUEST_SYSENTER_ESP, 0);
    wr(F_GUEST_SYSENTER_EIP, 0);
    wr(F_LINK, NO_VMCS);
    wr(F_INTERRUPTIBILITY, 0);
    wr(F_ACTIVITY, 0);
    wr(F_PENDING_DEBUG, 0);
    memset(&guest, 0, sizeof(guest));
    recover_rsp = 0; /* what an abandoned guest left behind */
}

uint64_t vmcs_new_guest(void (*entry)(void))
{
    uint64_t region = vmcs_new();

    vmcs_fill_guest(entry);
    return region;
}

uint32_t guest_run(bool launch)
{
    uint64_t result = vm_enter(&guest, launch);

    if (result != VMX_EXITED) {
        panic("vm entry flags=%q error=%q", result, rd(F_INSTRUCTION_ERROR));
    }
    last_exit.reason = (uint32_t)rd(F_REASON);
    last_exit.length = (uint32_t)rd(F_LENGTH);
    last_exit.intr = (uint32_t)rd(F_EXIT_INTR);
    last_exit.error = (uint32_t)rd(F_EXIT_ERROR);
    last_exit.qualification = rd(F_QUALIFICATION);
    last_exit.rip = rd(F_GUEST_RIP);
    return last_exit.reason;
}

void guest_skip(void)
{
    wr(F_GUEST_RIP, rd(F_GUEST_RIP) + rd(F_LENGTH));
}

void check_vmx(const char *id, const char *name, uint64_t flags, uint32_t error)
{
    uint64_t want = error == SUCCESS        ? VMX_SUCCEED
                    : error == FAIL_INVALID ? VMX_FAIL_INVALID
                                            : VMX_FAIL_VALID;
    uint64_t number = 0;

    if (flags != want) {
        check(id, name, false, "flags:%q,want:%q,error:%q", flags, want,
              flags == VMX_FAIL_VALID ? rd(F_INSTRUCTION_ERROR) : 0);
        return;
    }
    if (want == VMX_FAIL_VALID) {
        number = rd(F_INSTRUCTION_ERROR);
    }
    check(id, name, want != VMX_FAIL_VALID || number == error,
          "flags:%q,error:%q,want:%q", flags, number, (uint64_t)error);
}
