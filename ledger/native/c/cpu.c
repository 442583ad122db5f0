/* Asks the processor, through the compiler's run-time library (which also asks whether the
 * operating system saves the registers). */
#include "cpu.h"

#if CONCORDAT_X86

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

#else

int cpu_has_avx512ifma(void)
{
    return 0;
}

int cpu_has_avx2(void)
{
    return 0;
}

#endif
