/* What this processor and operating system can run. */
#ifndef CONCORDAT_CPU_H
#define CONCORDAT_CPU_H

/* Are there kernels for x86-64 vector units in this build at all? */
#if defined(__x86_64__)
#define CONCORDAT_X86 1
#else
#define CONCORDAT_X86 0
#endif

int cpu_has_avx512ifma(void);
int cpu_has_avx2(void);
int cpu_has_sha(void);

#endif
