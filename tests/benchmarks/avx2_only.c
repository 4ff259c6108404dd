/* Hides AVX-512, AMX and what belongs to AVX10 from a process: preloaded, it has CPUID instructions fault and answers
   them itself. Libraries that choose their kernels at run time then choose those for AVX2. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { SET_CPUID = 0x1012, FAULT = 0, ANSWER = 1 };

static const unsigned hidden_b = 1u << 16 | 1u << 17 | 1u << 21 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 30 | 1u << 31;
static const unsigned hidden_c = 1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14;
static const unsigned hidden_d = 1u << 2 | 1u << 3 | 1u << 8 | 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25;
static const unsigned saved_states = 7u << 5; /* mask registers and the upper halves and registers of ZMM */

static void answer(int number, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *code = (const unsigned char *)registers[REG_RIP];
    unsigned leaf = registers[REG_RAX], part = registers[REG_RCX], a, b, c, d;
    if (info->si_code <= 0 || code[0] != 0x0f || code[1] != 0xa2) { /* a fault of the program's own */
        signal(number, SIG_DFL);
        return;
    }
    syscall(SYS_arch_prctl, SET_CPUID, ANSWER);
    __cpuid_count(leaf, part, a, b, c, d);
    syscall(SYS_arch_prctl, SET_CPUID, FAULT);
    if (leaf == 7 && part == 0) {
        b &= ~hidden_b, c &= ~hidden_c, d &= ~hidden_d;
    } else if (leaf == 7) {
        a = b = c = d = 0; /* AVX-VNNI and all that is newer */
    } else if (leaf == 0xd && part == 0) {
        a &= ~saved_states;
    }
    registers[REG_RAX] = a, registers[REG_RBX] = b, registers[REG_RCX] = c, registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void hide(void) {
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    if (syscall(SYS_arch_prctl, SET_CPUID, FAULT)) {
        perror("this processor or kernel lets nobody intercept CPUID");
        exit(1);
    }
}
