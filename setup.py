"""Build script: adds the compiled kernels to what pyproject.toml says.

Owns nothing but the list of extension modules, which `ledger/native/build_ext.py` makes. A source
tree without that file builds as pure Python.
"""

import importlib.util
from pathlib import Path

from setuptools import Extension, setup

BUILD_EXT = Path(__file__).parent / "ledger" / "native" / "build_ext.py"


def extensions() -> list[Extension]:
    """Return the extension modules that the kernels' own build file describes."""
    if not BUILD_EXT.exists():
        return []
    # Loaded by path: importing the package would need the extension that is yet to be built.
    spec = importlib.util.spec_from_file_location("concordat_build_ext", BUILD_EXT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    built: list[Extension] = module.extensions()
    return built


setup(ext_modules=extensions())
