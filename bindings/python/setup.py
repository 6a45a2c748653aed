# SPDX-License-Identifier: MIT
"""What pyproject.toml cannot say: where libdeadbolt is, and which version this is.

pkg-config finds the library. DEADBOLT_LINK=static puts it into the extension, so that a wheel
needs no other package; without it the extension needs libdeadbolt.so.0.1 at run time."""

import os
import shlex
import subprocess
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from wheel.bdist_wheel import bdist_wheel

here = Path(__file__).parent


def version():
    # In the repository there is one for everything; an sdist has it among its metadata.
    for file in (here / "PKG-INFO", here / ".." / ".." / "VERSION"):
        if file.exists():
            text = file.read_text()
            return next(
                (line[9:] for line in text.splitlines() if line.startswith("Version: ")), text
            ).strip()
    raise SystemExit("deadbolt: neither VERSION nor PKG-INFO is there")


def pkg_config(*arguments):
    try:
        found = subprocess.run(
            ["pkg-config", *arguments, "deadbolt"], check=True, stdout=subprocess.PIPE, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        raise SystemExit(
            "deadbolt: pkg-config does not find libdeadbolt; install libdeadbolt-dev, or set "
            "PKG_CONFIG_PATH to where deadbolt.pc is"
        )
    return shlex.split(found.stdout)


static = os.environ.get("DEADBOLT_LINK") == "static"
free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
options = {}
if static:
    directory = pkg_config("--variable=libdir")[0]
    options["extra_objects"] = [f"{directory}/libdeadbolt.a"]
    options["extra_link_args"] = ["-Wl,--exclude-libs,ALL", "-Wl,--strip-debug"]
else:
    options["extra_link_args"] = pkg_config("--libs")
if not free_threaded:
    # One file for 3.11 and all that follow.
    options["define_macros"] = [("Py_LIMITED_API", "0x030b0000")]
    options["py_limited_api"] = True


class stable_abi_wheel(bdist_wheel):
    def finalize_options(self):
        if not free_threaded:
            self.py_limited_api = "cp311"
        super().finalize_options()


sources = [
    "module.c",
    "region.c",
    "names.c",
    "read_only.c",
    "locks.c",
    "lock_types.c",
    "condition.c",
    "owner.c",
]
setup(
    version=version(),
    cmdclass={"bdist_wheel": stable_abi_wheel},
    ext_modules=[
        Extension(
            "deadbolt._deadbolt",
            sources=[f"src/deadbolt/{name}" for name in sources],
            depends=["src/deadbolt/core.h", "src/deadbolt/locks.h"],
            extra_compile_args=[
                "-std=c11",
                "-fvisibility=hidden",
                "-Wall",
                "-Wextra",
                "-Wno-missing-field-initializers",
                *pkg_config("--cflags"),
            ],
            **options,
        )
    ],
)
