/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* UEFI variables by efivarfs: each access is a call of the firmware that raises SMIs. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "lab.h"

#define FOLDER "/sys/firmware/efi/efivars"
#define NAME FOLDER "/StmLab-8b2c1d60-5a53-4c1c-9d53-0c2a7b0f6e11"

enum { ATTRIBUTES = 7, SIZE = 100 };   /* non-volatile, boot services, runtime */

struct variable {
    uint32_t attributes;
    uint8_t data[SIZE];
};

/* The kernel protects variables that it does not know from removal. */
static void unprotect(void)
{
    int flags = 0;
    int file = open(NAME, O_RDONLY | O_CLOEXEC);

    if (file >= 0 && ioctl(file, FS_IOC_GETFLAGS, &flags) == 0) {
        flags &= ~FS_IMMUTABLE_FL;
        ioctl(file, FS_IOC_SETFLAGS, &flags);
    }
    close(file);
}

static int write_variable(const struct variable *variable)
{
    int file = open(NAME, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    if (file < 0) {
        return errno;
    }
    int error = write(file, variable, sizeof(*variable)) == sizeof(*variable) ? 0 : errno;
    close(file);
    return error;
}

static bool same(const struct variable *expected)
{
    struct variable found;
    int file = open(NAME, O_RDONLY | O_CLOEXEC);
    bool equal = read(file, &found, sizeof(found)) == sizeof(found) && memcmp(&found, expected, sizeof(found)) == 0;

    close(file);
    return equal;
}

void variables(void)
{
    static int mounted = -1;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (mounted != 0) {
        mounted = mount("efivarfs", FOLDER, "efivarfs", 0, NULL) == 0 ? 0 : errno;
        report("efivarfs", "error=%d", mounted);
    }
    for (int cpu = 0; mounted == 0 && cpu < processors; cpu++) {
        struct variable variable = {.attributes = ATTRIBUTES};

        run_on(cpu);
        memset(variable.data, 0x41 + cpu, sizeof(variable.data));
        int error = write_variable(&variable);
        bool equal = same(&variable);
        unprotect();
        int removed = unlink(NAME) == 0 ? 0 : errno;
        report("variable", "cpu=%d error=%d equal=%d removed=%d", cpu, error, equal, removed);
    }
}
