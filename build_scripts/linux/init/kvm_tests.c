/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The list of tests, each in a process of its own, so that one that hangs or dies is one finding. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm.h"
#include "lab.h"

enum { LIMIT_SECONDS = 40 };

static const struct {
    const char *name;
    void (*function)(const char *name);
} tests[] = {
    {"protected", test_protected}, {"long", test_long}, {"pae", test_pae}, {"real", test_real},
    {"modes", test_modes}, {"fault", test_fault}, {"cpuid", test_cpuid}, {"shutdown", test_shutdown},
    {"spin", test_spin}, {"interrupt", test_interrupt}, {"nmi", test_nmi}, {"irqchip", test_irqchip},
    {"timer", test_timer}, {"smp", test_smp}, {"step", test_step}, {"breakpoint", test_breakpoint},
    {"dirty", test_dirty}, {"readonly", test_readonly},
};

static void run_test(size_t i, bool smis)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        tests[i].function(tests[i].name);
        _exit(0);
    }
    for (int slices = 0; waitpid(child, &status, WNOHANG) == 0; slices++) {
        if (slices == LIMIT_SECONDS * (smis ? 500 : 50)) {
            report("kvm", "test=%s trace=hangs", tests[i].name);
            kill(child, SIGKILL);
        }
        if (smis) {
            raise_smi();
        }
        usleep(smis ? 2000 : 20000);
    }
    if (WIFSIGNALED(status)) {
        report("kvm", "test=%s trace=signal:%d", tests[i].name, WTERMSIG(status));
    }
}

void kvm_tests(const char *only)
{
    bool smis = setting("lab.smi") != NULL;

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        if (!only || strcmp(only, tests[i].name) == 0) {
            run_test(i, smis);
        }
    }
}
