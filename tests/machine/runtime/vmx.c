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
    wr(VMCS_HOST_CR0, read_cr0());
    wr(VMCS_HOST_CR3, read_cr3());
    wr(VMCS_HOST_CR4, read_cr4());
    wr(VMCS_HOST_ES_SELECTOR, SEL_DATA64);
    wr(VMCS_HOST_CS_SELECTOR, SEL_CODE64);
    wr(VMCS_HOST_SS_SELECTOR, SEL_DATA64);
    wr(VMCS_HOST_DS_SELECTOR, SEL_DATA64);
    wr(VMCS_HOST_FS_SELECTOR, SEL_DATA64);
    wr(VMCS_HOST_GS_SELECTOR, SEL_DATA64);
    wr(VMCS_HOST_TR_SELECTOR, SEL_TSS);
    wr(VMCS_HOST_FS_BASE, 0);
    wr(VMCS_HOST_GS_BASE, 0);
    wr(VMCS_HOST_TR_BASE, phys(tss));
    wr(VMCS_HOST_GDTR_BASE, read_gdtr().base);
    wr(VMCS_HOST_IDTR_BASE, read_idtr().base);
    wr(VMCS_HOST_IA32_SYSENTER_CS, 0);
    wr(VMCS_HOST_IA32_SYSENTER_ESP, 0);
    wr(VMCS_HOST_IA32_SYSENTER_EIP, 0);
    wr(VMCS_HOST_IA32_EFER, rdmsr(MSR_EFER));
    wr(VMCS_HOST_IA32_PAT, rdmsr(MSR_PAT));
}

static void guest_segments(void)
{
    static const uint16_t selectors[] = {
        SEL_DATA64, SEL_CODE64, SEL_DATA64, SEL_DATA64,
        SEL_DATA64, SEL_DATA64, 0,          SEL_TSS,
    };

    for (unsigned seg = SEG_ES; seg <= SEG_TR; seg++) {
        wr(VMCS_GUEST_ES_SELECTOR + 2 * seg, selectors[seg]);
        wr(VMCS_GUEST_LIMIT(seg), seg == SEG_TR ? 0x67 : 0xFFFFFFFF);
        wr(VMCS_GUEST_BASE(seg), seg == SEG_TR ? phys(tss) : 0);
        wr(VMCS_GUEST_ACCESS_RIGHTS(seg), seg == SEG_CS     ? RIGHTS_CODE64
                          : seg == SEG_LDTR ? RIGHTS_UNUSABLE
                          : seg == SEG_TR   ? RIGHTS_TSS
                                            : RIGHTS_DATA);
    }
    wr(VMCS_GUEST_GDTR_BASE, phys(gdt));
    wr(VMCS_GUEST_GDTR_LIMIT, read_gdtr().limit);
    wr(VMCS_GUEST_IDTR_BASE, read_idtr().base);
    wr(VMCS_GUEST_IDTR_LIMIT, read_idtr().limit);
}

void vmcs_fill_guest(void (*entry)(void))
{
    wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, 0));
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, 0));
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, VMX_EXIT_HOST_ADDRESS_SPACE_SIZE));
    wr(VMCS_ENTRY_CONTROLS, controls(MSR_VMX_TRUE_ENTRY, VMX_ENTRY_IA32E_GUEST));
    wr(VMCS_EXCEPTION_BITMAP, 0);
    wr(VMCS_PAGE_FAULT_ERROR_CODE_MASK, 0);
    wr(VMCS_PAGE_FAULT_ERROR_CODE_MATCH, 0);
    wr(VMCS_CR3_TARGET_COUNT, 0);
    wr(VMCS_EXIT_MSR_STORE_COUNT, 0);
    wr(VMCS_EXIT_MSR_LOAD_COUNT, 0);
    wr(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
    wr(VMCS_ENTRY_INTERRUPTION_INFO, 0);
    wr(VMCS_CR0_GUEST_HOST_MASK, 0);
    wr(VMCS_CR4_GUEST_HOST_MASK, 0);
    wr(VMCS_CR0_READ_SHADOW, read_cr0());
    wr(VMCS_CR4_READ_SHADOW, read_cr4());
    wr(VMCS_TSC_OFFSET, 0);
    vmcs_host_state();

    guest_segments();
    wr(VMCS_GUEST_CR0, read_cr0());
    wr(VMCS_GUEST_CR3, read_cr3());
    wr(VMCS_GUEST_CR4, read_cr4());
    wr(VMCS_GUEST_DR7, 0x400);
    wr(VMCS_GUEST_RSP, guest_stack_top() - 8);
    wr(VMCS_GUEST_RIP, phys((void *)entry));
    wr(VMCS_GUEST_RFLAGS, 2);
    wr(VMCS_GUEST_IA32_DEBUGCTL, 0);
    wr(VMCS_GUEST_IA32_PAT, rdmsr(MSR_PAT));
    wr(VMCS_GUEST_IA32_EFER, rdmsr(MSR_EFER));
    wr(VMCS_GUEST_IA32_SYSENTER_CS, 0);
    wr(VMCS_GUEST_IA32_SYSENTER_ESP, 0);
    wr(VMCS_GUEST_IA32_SYSENTER_EIP, 0);
    wr(VMCS_LINK_POINTER, NO_VMCS);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, 0);
    wr(VMCS_GUEST_ACTIVITY_STATE, 0);
    wr(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
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
        panic("vm entry flags=%q error=%q", result, rd(VMCS_INSTRUCTION_ERROR));
    }
    last_exit.reason = (uint32_t)rd(VMCS_EXIT_REASON);
    last_exit.length = (uint32_t)rd(VMCS_EXIT_INSTRUCTION_LENGTH);
    last_exit.intr = (uint32_t)rd(VMCS_EXIT_INTERRUPTION_INFO);
    last_exit.error = (uint32_t)rd(VMCS_EXIT_INTERRUPTION_ERROR_CODE);
    last_exit.qualification = rd(VMCS_EXIT_QUALIFICATION);
    last_exit.rip = rd(VMCS_GUEST_RIP);
    return last_exit.reason;
}

void guest_skip(void)
{
    wr(VMCS_GUEST_RIP, rd(VMCS_GUEST_RIP) + rd(VMCS_EXIT_INSTRUCTION_LENGTH));
}

void check_vmx(const char *id, const char *name, uint64_t flags, uint32_t error)
{
    uint64_t want = error == SUCCESS        ? VMX_SUCCEED
                    : error == FAIL_INVALID ? VMX_FAIL_INVALID
                                            : VMX_FAIL_VALID;
    uint64_t number = 0;

    if (flags != want) {
        check(id, name, false, "flags:%q,want:%q,error:%q", flags, want,
              flags == VMX_FAIL_VALID ? rd(VMCS_INSTRUCTION_ERROR) : 0);
        return;
    }
    if (want == VMX_FAIL_VALID) {
        number = rd(VMCS_INSTRUCTION_ERROR);
    }
    check(id, name, want != VMX_FAIL_VALID || number == error,
          "flags:%q,error:%q,want:%q", flags, number, (uint64_t)error);
}
