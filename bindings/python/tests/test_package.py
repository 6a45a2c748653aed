# SPDX-License-Identifier: MIT
"""The package as it is installed: types, documentation, example."""

import ast
import itertools
import subprocess
import sys
import sysconfig
from pathlib import Path

import deadbolt
import pytest

here = Path(deadbolt.__file__).parent
classes = [getattr(deadbolt, name) for name in deadbolt.__all__]


def members_of(stub, name, classes):
    node = classes[name]
    found = {
        item.name for item in node.body if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in classes:
            found |= members_of(stub, base.id, classes)
    return found


def test_stubs_name_what_is_there():
    assert (here / "py.typed").exists()
    stub = ast.parse((here / "_deadbolt.pyi").read_text())
    stubbed = {node.name: node for node in stub.body if isinstance(node, ast.ClassDef)}
    assert {kind.__name__ for kind in classes if not issubclass(kind, tuple)} <= set(stubbed)
    for kind in classes:
        if issubclass(kind, (BaseException, tuple)):  # tuples are written in Python
            continue
        public = {name for name in dir(kind) if not name.startswith("_")}
        declared = {n for n in members_of(stub, kind.__name__, stubbed) if not n.startswith("_")}
        assert public == declared, kind


@pytest.mark.parametrize("kind", classes, ids=lambda kind: kind.__name__)
def test_everything_public_has_a_docstring(kind):
    assert kind.__doc__
    for name in vars(kind):
        if not name.startswith("_"):
            assert getattr(kind, name).__doc__, name
    assert kind.__module__ == ("deadbolt._records" if issubclass(kind, tuple) else "deadbolt")


def test_extension_is_of_the_stable_abi():
    import deadbolt._deadbolt

    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("a free-threaded build has no stable ABI to be of")
    assert deadbolt._deadbolt.__file__.endswith(".abi3.so")


def test_example_runs():
    pytest.importorskip("numpy")
    example = Path(__file__).parent.parent / "examples" / "histogram.py"
    done = subprocess.run([sys.executable, example], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "150000 numbers counted, 2 of 4 workers killed\n"


def test_readmes_first_example_runs(path):
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    example = readme[readme.index("    import deadbolt\n") :]
    program = "\n".join(
        line[4:] for line in itertools.takewhile(lambda l: l[:4].isspace() or not l, example.split("\n"))
    )
    assert "/dev/shm/bank" in program
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-c", program.replace("/dev/shm/bank", str(path))],
            check=True,
            timeout=100,
        )
    region = deadbolt.Region(path)
    assert region.memory("balance", 8, create=False).cast("q")[0] == 200
