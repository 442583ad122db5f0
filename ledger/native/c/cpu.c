/* Asks the processor, through the compiler's run-time library (which also asks whether the
 * operating system saves the registers). */
#include "cpu.h"

#if CONCORDAT_X86

#include <cpuid.h>

int cpu_has_avx512ifma(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512ifma") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("bmi2");
}

int cpu_has_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2");
}

/* The compiler's library does not know the SHA extensions everywhere: leaf 7, EBX bit 29. */
int cpu_has_sha(void)
{
    unsigned a, b, c, d;
    __builtin_cpu_init();
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1) &&
           __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
}

#else

int cpu_has_avx512ifma(void)
{
    return 0;
}

int cpu_has_avx2(void)
{
    return 0;
}

int cpu_has_sha(void)
{
    return 0;
}

#endif
