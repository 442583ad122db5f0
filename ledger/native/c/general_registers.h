/* Keeps 64-bit limbs out of vector registers in the rest of a file: include it before the
 * headers that hold arithmetic.
 *
 * On x86-64 the compiler would copy two limbs at a time through them, and each copy would wait for
 * both limbs to reach memory. Without that a doubling takes a third less time.
 */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("general-regs-only")
#endif
