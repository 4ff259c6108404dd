"""The build backend: setuptools', and wheels that carry machine code, `python -m build --wheel -C machine-code=yes`."""

from __future__ import annotations

import shutil
import sysconfig
import tomllib
from pathlib import Path

import machine_code
from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403  # all other hooks are setuptools' own

OPTION = "machine-code"
FOLDER = Path("cnntool/kernels/machine_code")


def wanted(config_settings: dict | None) -> str:
    """For which processors the wheel is to carry machine code: "yes" for all that this one can run, names, or ""."""
    given = str((config_settings or {}).get(OPTION, "no"))
    return "" if given == "no" else given


def get_requires_for_build_wheel(config_settings: dict | None = None) -> list[str]:
    """What the package needs to run is needed to make its code."""
    needed = build_meta.get_requires_for_build_wheel()
    if wanted(config_settings):
        needed += tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    return needed


def build_wheel(
    wheel_directory: str, config_settings: dict | None = None, metadata_directory: str | None = None
) -> str:
    """The wheel's file name."""
    if not wanted(config_settings):
        return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
    system = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    # code calls functions of the C library that all versions have
    system = system.replace("linux_", "manylinux_2_17_")
    try:
        machine_code.make(Path.cwd(), wanted(config_settings))
        settings = {"--build-option": ["--plat-name", system]}
        return build_meta.build_wheel(wheel_directory, settings, metadata_directory)
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)
        shutil.rmtree("build", ignore_errors=True)
