/* Ends what vector.h or a file's own target pragma began; the last include of such a file. */
#if defined(__clang__)
#pragma clang attribute pop
#endif
