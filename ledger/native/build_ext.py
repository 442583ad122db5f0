"""Describes the extension modules to setuptools; ``setup.py`` calls :func:`extensions`.

Vector code is compiled for its instruction set by target attributes inside the C files, and
chosen at run time, so one wheel runs on every machine of an architecture.
"""

from pathlib import Path

from setuptools import Extension  # type: ignore[import-untyped]

__all__ = ["extensions"]

NATIVE = Path("ledger/native")
SOURCES = {
    "blake3": (
        "blake3.c",
        "blake3_avx2.c",
        "blake3_avx512.c",
        "blake3_portable.c",
        "cpu.c",
    ),
    "ed25519": (
        "batch.c",
        "batch_ifma.c",
        "batch_portable.c",
        "cpu.c",
        "ed25519.c",
        "halve.c",
        "scalar.c",
        "sha512.c",
        "sha512_ifma.c",
        "single.c",
        "single_ifma.c",
    ),
    "merkle": (
        "cpu.c",
        "sha256.c",
        "sha256_avx512.c",
        "sha256_shani.c",
    ),
    "scan": (
        "blake3.c",
        "blake3_avx2.c",
        "blake3_avx512.c",
        "blake3_portable.c",
        "cpu.c",
        "scan.c",
        "scan_order.c",
    ),
    "event_rows": ("scan_order.c",),
    "hash_rows": ("hash_rows.c",),
    "read_ahead": (),
    "scan_rows": ("scan_order.c",),
}
COMPILE_FLAGS = ["-std=c11", "-O3", "-Wall", "-Wextra", "-fvisibility=hidden", "-g0"]


def extensions() -> list[Extension]:
    """Give one extension for each module; paths are relative to the project's root."""
    from Cython.Build import cythonize  # noqa: PLC0415  # only a build has Cython

    headers = sorted(map(str, [*(NATIVE / "c").glob("*.h"), *NATIVE.glob("*.pxd")]))
    # A source distribution carries the dependencies too: the .pyx files, of which the extensions
    # keep only the generated C.
    modules = [
        Extension(
            f"ledger.native.{name}",
            [str(NATIVE / f"{name}.pyx"), *(str(NATIVE / "c" / source) for source in sources)],
            depends=[*headers, str(NATIVE / f"{name}.pyx")],
            extra_compile_args=COMPILE_FLAGS,
        )
        for name, sources in SOURCES.items()
    ]
    result: list[Extension] = cythonize(  # type: ignore[no-untyped-call]
        modules, build_dir="build/cython"
    )
    return result
