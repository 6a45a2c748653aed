#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Usage: run.py README SCRATCH

Builds README's programs in Python, Rust, C and C++, and runs them on one region: one holds the
lock while the next waits, and is killed. Every language is killed with every language waiting,
itself too, and the next one is told each time. pkg-config finds the library, the deadbolt crate
is this repository's, and `import deadbolt` must work."""

import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

LANGUAGES = ["python", "rust", "c", "cpp"]
SPOKEN = {"python": "python", "rust": "rust", "c": "c", "cpp": "c++"}
SECTION = "## Four languages, one lock"
MOST_LINES = 40  # of the four programs together
root = Path(__file__).resolve().parent.parent.parent


def pkg_config(*arguments):
    found = subprocess.run(["pkg-config", *arguments, "deadbolt"], check=True, stdout=subprocess.PIPE)
    return shlex.split(found.stdout.decode())


def build(readme, scratch, region):
    """The commands that run the programs."""
    section = readme.partition(f"\n{SECTION}\n")[2].partition("\n## ")[0]
    source = {}
    for language in LANGUAGES:
        text = re.search(rf"^```{language}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
        if not text:
            raise SystemExit(f"README's section '{SECTION}' has no program in {language}")
        source[language] = text[1].replace("/dev/shm/four", str(region))
        if source[language] == text[1]:
            raise SystemExit(f"the program in {language} does not open /dev/shm/four")
    lines = sum(text.count("\n") for text in source.values())
    if lines > MOST_LINES:
        raise SystemExit(f"README's four programs take {lines} lines, more than {MOST_LINES}")
    flags = pkg_config("--cflags", "--libs")
    rpath = f"-Wl,-rpath,{pkg_config('--variable=libdir')[0]}"

    (scratch / "four.py").write_text(source["python"])
    (scratch / "four.c").write_text(source["c"])
    (scratch / "four.cpp").write_text(source["cpp"])
    warnings = ["-Wall", "-Wextra", "-Werror"]
    for compiler, name in (["cc"], "c"), (["c++", "-std=c++20"], "cpp"):
        command = [*compiler, *warnings, scratch / f"four.{name}", "-o", scratch / f"four_{name}"]
        subprocess.run([*command, *flags, rpath], check=True)

    (scratch / "src").mkdir()
    (scratch / "src" / "main.rs").write_text(source["rust"])
    (scratch / "Cargo.toml").write_text(
        '[package]\nname = "four"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n'
        f'[dependencies]\ndeadbolt = {{ path = "{root}/bindings/rust/deadbolt" }}\n'
    )
    environment = dict(
        os.environ, CARGO_TARGET_DIR=str(scratch / "target"), RUSTFLAGS=f"-C link-arg={rpath}"
    )
    environment.pop("DEADBOLT_STATIC", None)
    subprocess.run(
        ["cargo", "build", "--quiet", "--offline"], cwd=scratch, env=environment, check=True
    )
    return {
        "python": [sys.executable, scratch / "four.py"],
        "rust": [scratch / "target" / "debug" / "four"],
        "c": [scratch / "four_c"],
        "cpp": [scratch / "four_cpp"],
    }


class Program:
    """A program on a terminal, as a reader starts it: it prints each line at once, and waits for
    an Enter that never comes."""

    def __init__(self, language, command):
        self.language = language
        self.terminal, its_terminal = pty.openpty()
        self.process = subprocess.Popen(
            command, stdin=its_terminal, stdout=its_terminal, stderr=its_terminal
        )
        os.close(its_terminal)
        self.said = b""

    def listen(self, seconds):
        """Whether it says more."""
        ready, _, _ = select.select([self.terminal], [], [], seconds)
        try:
            more = os.read(self.terminal, 4096) if ready else b""
        except OSError:  # EIO: it ended, and its terminal was closed
            more = b""
        self.said += more
        return bool(more)

    def hear_that_it_holds(self):
        """What it prints up to the count. It prints nothing after that, and waits."""
        while b"count" not in self.said or not self.said.endswith(b"\n"):
            if not self.listen(60):
                raise SystemExit(f"{self.language} said {self.said!r} and then nothing")
        return self.said.decode().splitlines()

    def is_asleep(self):
        """In a futex call, by number: 202 futex, 449 futex_waitv."""
        syscall = Path(f"/proc/{self.process.pid}/syscall").read_text().split()[0]
        return syscall in ("202", "449")

    def kill(self):
        self.process.kill()
        self.process.wait()


def every_pair():
    """A round trip that goes from every language to every language once, itself included."""
    left = {a: list(LANGUAGES) for a in LANGUAGES}
    path, stack = [], [LANGUAGES[0]]
    while stack:
        if left[stack[-1]]:
            stack.append(left[stack[-1]].pop())
        else:
            path.append(stack.pop())
    return path[::-1]


def main():
    readme, scratch = Path(sys.argv[1]).read_text(), Path(sys.argv[2]).resolve()
    region = Path(f"/dev/shm/deadbolt-languages-{os.getpid()}")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    commands = build(readme, scratch, region)
    path = every_pair()
    running = []
    try:
        holder = Program(path[0], commands[path[0]])
        running.append(holder)
        expected = [f"{SPOKEN[path[0]]}: holds it, count 1"]
        for count, language in enumerate([*path[1:], None], start=2):
            heard = holder.hear_that_it_holds()
            if heard != expected:
                raise SystemExit(f"{holder.language} said {heard}, not {expected}")
            if language is None:
                break
            waiter = Program(language, commands[language])
            running.append(waiter)
            while not waiter.is_asleep():
                if waiter.process.poll() is not None:
                    raise SystemExit(f"{language} ended with {waiter.process.returncode}")
            if waiter.listen(0):
                raise SystemExit(f"{language} did not wait for {holder.language}: {waiter.said!r}")
            holder.kill()
            name = SPOKEN[language]
            expected = [f"{name}: its owner died", f"{name}: holds it, count {count}"]
            holder = waiter
    finally:
        for program in running:
            program.kill()
        region.unlink(missing_ok=True)
    pairs = set(zip(path, path[1:]))
    assert len(pairs) == len(LANGUAGES) ** 2
    print(f"{len(pairs)} deaths told: each of {', '.join(LANGUAGES)} to each")


if __name__ == "__main__":
    main()
