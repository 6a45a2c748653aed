#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Usage: sbom.py FILE... >sbom.spdx.json

What the built FILEs are made of, as SPDX 2.3: each file with its hash, the Debian package and
version of every shared library that it needs, and of every library that is compiled in from its
headers. The same build gives the same bytes."""

import hashlib
import json
import os
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

root = Path(__file__).resolve().parent.parent
# Header-only, or used so (Makefile: tool_packages, bpf_packages).
COMPILED_IN = {"deadbolt": ["libcli11-dev", "nlohmann-json3-dev", "libstdc++"]}


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def identifier(text):
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.]+", "-", text)


def needed(file):
    return re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "--wide", "--dynamic", file))


def package_of(library):
    """The Debian package that a shared library's name stands for on this machine."""
    found = re.search(rf"^\s*{re.escape(library)} \(.*x86-64.*\) => (.*)$", run("/sbin/ldconfig", "-p"), re.M)
    if not found:
        raise SystemExit(f"sbom: this machine has no {library}")
    for path in found[1], os.path.realpath(found[1]), found[1].removeprefix("/usr"):
        known = subprocess.run(["dpkg-query", "--search", path], capture_output=True, text=True)
        if known.returncode == 0:
            return known.stdout.split(":")[0]
    raise SystemExit(f"sbom: no package has {found[1]}")


def compiled_in(name):
    for package in COMPILED_IN.get(name, []):
        # libstdc++'s headers have the compiler's version in their package's name.
        if package == "libstdc++":
            package = f"libstdc++-{run('g++', '-dumpversion').strip().split('.')[0]}-dev"
        yield package


def describe(package):
    version, homepage = run(
        "dpkg-query", "--show", "--showformat", "${Version}\n${Homepage}", package
    ).split("\n")
    return {
        "SPDXID": identifier(f"Package-{package}"),
        "name": package,
        "versionInfo": version,
        "supplier": "Organization: Debian",
        "homepage": homepage or "NOASSERTION",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": f"pkg:deb/debian/{package}@{version}?arch=amd64",
            }
        ],
    }


def main():
    version = (root / "VERSION").read_text().strip()
    own = {
        "SPDXID": "SPDXRef-Package-deadbolt-source",
        "name": "deadbolt",
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "MIT",
        "licenseDeclared": "MIT",
        "copyrightText": "NOASSERTION",
    }
    files, packages, relations = [], {}, []

    def relate(one, kind, other):
        relations.append(
            {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
        )

    relate("SPDXRef-DOCUMENT", "DESCRIBES", own["SPDXID"])
    for name in sorted(sys.argv[1:]):
        file = Path(name).resolve()
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        entry = identifier(f"File-{file.name}")
        files.append(
            {
                "SPDXID": entry,
                "fileName": f"./{file.name}",
                "checksums": [{"algorithm": "SHA256", "checksumValue": digest}],
                "licenseConcluded": "MIT",
                "copyrightText": "NOASSERTION",
            }
        )
        relate(entry, "GENERATED_FROM", own["SPDXID"])
        linked = [] if file.suffix == ".a" else needed(file)
        for kind, names in (
            ("DYNAMIC_LINK", [package_of(x) for x in linked if not x.startswith("libdeadbolt")]),
            ("BUILD_DEPENDENCY_OF", compiled_in(file.name)),
        ):
            for package in sorted(set(names)):
                packages[package] = describe(package)
                other = packages[package]["SPDXID"]
                relate(*((entry, kind, other) if kind == "DYNAMIC_LINK" else (other, kind, entry)))
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    body = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"deadbolt-{version}",
        "creationInfo": {
            "created": datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": ["Tool: deadbolt scripts/sbom.py"],
        },
        "packages": [own, *(packages[name] for name in sorted(packages))],
        "files": files,
        "relationships": relations,
    }
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    body["documentNamespace"] = f"https://deadbolt.example/spdx/deadbolt-{version}-{digest[:32]}"
    json.dump(body, sys.stdout, indent=2, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
