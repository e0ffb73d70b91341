"""The published wheel is the client library: `tallynet/` alone, importable without the node's packages.

The wheel is built from a copy of the whole tree, without network, and imported by a Python that sees nothing but
the wheel and what the wheel says it requires.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.lint.test_dependencies import closure

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("tallynet", "consensus", "net", "node", "tools", "tests")
NODE_ONLY = ("trio", "lmdb", "cyclopts", "rich", "structlog", "psutil")
IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path[:0] = sys.argv[1:]
import tallynet
names = [found.name for found in pkgutil.walk_packages(tallynet.__path__, "tallynet.")]
for name in names:
    importlib.import_module(name)
print(tallynet.__file__, len(names))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "."],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = (tree / "dist").iterdir()
    return path


def test_the_wheel_holds_the_client_library_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"tallynet", "tallynet-0.1.0.dist-info"}


def test_the_wheel_holds_all_of_it_with_types_and_licence(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "tallynet").rglob("*.py")}
    expected = modules | {"tallynet/py.typed", "tallynet-0.1.0.dist-info/licenses/LICENSE"}
    assert expected - names == set()


def test_the_wheel_requires_nothing_of_the_node(wheel: Path) -> None:
    assert required_by(wheel).isdisjoint(NODE_ONLY)


def test_the_wheel_imports_with_its_own_requirements_only(wheel: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    requirements = tmp_path / "requirements"
    link_distributions(closure(sorted(required_by(wheel))), requirements)
    # -I and -S: no PYTHONPATH, no current folder, no site-packages.
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", IMPORT_ALL, str(installed), str(requirements)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    place, modules = run.stdout.split()
    assert place == str(installed / "tallynet" / "__init__.py")
    assert int(modules) > 10


def test_the_isolation_of_that_import_is_real(tmp_path: Path) -> None:
    """A Python with these flags and no folder of ours finds none of the node's packages."""
    script = "import importlib.util as u, sys; sys.exit(any(map(u.find_spec, sys.argv[1:])))"
    words = [sys.executable, "-I", "-S", "-c", script, *NODE_ONLY, "node", "cbor2", "msgspec"]
    assert subprocess.run(words, cwd=tmp_path, check=False).returncode == 0


def required_by(wheel: Path) -> set[str]:
    """Canonical names that the wheel's metadata requires."""
    (name,) = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("/METADATA")]
    text = zipfile.ZipFile(wheel).read(name).decode()
    lines = [
        line.partition(": ")[2] for line in text.splitlines() if line.startswith("Requires-Dist: ")
    ]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def link_distributions(names: set[str], folder: Path) -> None:
    """A folder on which exactly these installed distributions are importable."""
    folder.mkdir()
    for name in sorted(names):
        files = metadata.distribution(name).files or []
        for top in sorted({file.parts[0] for file in files} - {"..", "__pycache__"}):
            place = Path(str(metadata.distribution(name).locate_file(top)))
            if place.exists() and not (folder / top).exists():
                (folder / top).symlink_to(place)
