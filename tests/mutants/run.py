"""Proves that the tests notice: breaks the broker in one place at a time and demands that a named test fails.

    tests/mutants/run.py                 every mutant in the folders beside this file
    tests/mutants/run.py NAME...         those whose name contains one of these
    tests/mutants/run.py --list          what they are, and who is to catch them
    tests/mutants/run.py --check         only whether each still applies to the tree: quick, for every run

A mutant is a text file: lines `key: value`, then blocks of a text and what stands in its place. A text has to occur
exactly once beneath the folder of the last `in:`, so that a mutant follows its code when a file moves, and fails when
the code has changed.

    what: the defect, in a sentence
    test: lib NAME      a test of the broker that fails; `it NAME` for one of its integration tests; several lines: one of them
    test: build WORD    or the compiler refuses it, and says WORD
    in: broker/src/log
    <<<<<<<
    the code
    =======
    the defect
    >>>>>>>

Works on a copy of the tree that stays in the tests' cache, with a target directory of its own
(MUTANTS_TARGET_DIR, else CARGO_TARGET_DIR-mutants), so that only the first run compiles the dependencies.
"""

import argparse
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PACKAGE = "sluice-broker"
TARGETS = {"lib": ["--lib"], "it": ["--test", "it"]}
# A wait of a test is bounded (`broker/src/clock.rs::TEST_WAIT_MAX`); a mutant may make a test loop for ever nevertheless,
# which is caught as well.
TEST_SECONDS_MAX = 120
BUILD_SECONDS_MAX = 1500
# What a test program exits with when a test has failed.
TESTS_FAILED = 101


class Mutant:
    def __init__(self, path):
        self.name = path.stem
        self.what, self.tests, self.refusal, self.blocks = "", {}, None, []
        self.parse(path.read_text().splitlines())
        if not self.what or not self.blocks or not (self.tests or self.refusal):
            raise ValueError(f"{path.name}: a mutant has `what:`, at least one `test:` and a block")

    def parse(self, lines):
        folder, old, new, into = None, [], [], None
        for line in lines:
            if line == "<<<<<<<":
                old, new = [], []
                into = old
            elif line == "=======" and into is old:
                into = new
            elif line == ">>>>>>>" and into is new:
                self.blocks.append((folder, "\n".join(old), "\n".join(new)))
                into = None
            elif into is not None:
                into.append(line)
            elif line:
                key, _, value = line.partition(": ")
                folder = self.header(key, value) or folder

    def header(self, key, value):
        if key == "what":
            self.what = value
        elif key == "test" and value.startswith("build "):
            self.refusal = value.removeprefix("build ")
        elif key == "test":
            target, _, test = value.partition(" ")
            self.tests.setdefault(target, []).append(test)
        elif key == "in":
            return value
        else:
            raise ValueError(f"{self.name}: `{key}` is no key of a mutant")
        return None

    def apply(self, tree):
        """The files as they were, or the reason why it does not apply."""
        before = {}
        for folder, old, new in self.blocks:
            file, reason = place(tree, folder, old)
            if reason:
                undo(before)
                return None, reason
            text = file.read_text()
            before.setdefault(file, text)
            file.write_text(text.replace(old, new))
        return before, None

    def stale(self, tree):
        """Why it no longer applies, or names a test that is gone; nothing is written and nothing is built."""
        for folder, old, _ in self.blocks:
            yield place(tree, folder, old)[1]
        sources = "".join(file.read_text() for file in (tree / "broker").rglob("*.rs"))
        for name in (name for names in self.tests.values() for name in names):
            if not re.search(rf"\bfn {re.escape(name.rpartition('::')[2])}\b", sources):
                yield f"there is no test {name}"


def place(tree, folder, text):
    """The one file beneath the folder that has the text, or the reason why there is none."""
    files = [file for file in sorted((tree / folder).rglob("*.rs")) if text in file.read_text()]
    count = sum(file.read_text().count(text) for file in files)
    if count != 1:
        return None, f"this occurs {count} times beneath {folder}, not once: {text.strip().splitlines()[0]}"
    return files[0], None


def undo(before):
    for file, text in before.items():
        file.write_text(text)


def synced_copy(tree):
    """Makes the copy equal to the tree, and leaves alone what is equal already: cargo goes by the time of a change."""
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0")
    names = {name for name in names if name and (ROOT / name).is_file()}
    for name in names:
        of, to = ROOT / name, tree / name
        content = of.read_bytes()
        if not to.is_file() or to.read_bytes() != content:
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(content)
            to.chmod(of.stat().st_mode)
    for path in tree.rglob("*"):
        if path.is_file() and str(path.relative_to(tree)) not in names:
            path.unlink()


class Cargo:
    def __init__(self, tree, target_dir):
        self.tree = tree
        self.environment = os.environ | {"CARGO_TARGET_DIR": str(target_dir), "CARGO_TERM_COLOR": "never"}

    def build(self, targets):
        """The test program of each target, and what the compiler says where it refuses."""
        which = [word for target in targets for word in TARGETS[target]] or TARGETS["lib"]
        command = ["cargo", "test", "-p", PACKAGE, "--locked", "--no-run", "--message-format=json-render-diagnostics", *which]
        code, printed, said = run(command, self.tree, self.environment, BUILD_SECONDS_MAX)
        if code != 0:
            return {}, said or "it took too long"
        programs = {}
        for line in printed.splitlines():
            artifact = json.loads(line) if line.startswith("{") else {}
            if artifact.get("executable") and artifact["manifest_path"] == str(self.tree / "broker" / "Cargo.toml"):
                target = artifact["target"]
                programs["lib" if "lib" in target["kind"] else target["name"]] = artifact["executable"]
        return programs, None

    def test(self, programs, tests):
        """Those that failed, those that passed, and the output."""
        failed, passed, printed = [], [], []
        for target, names in tests.items():
            command = [programs[target], "--exact", *names]
            code, output, said = run(command, self.tree / "broker", self.environment, TEST_SECONDS_MAX)
            for name in names:
                outcome = re.search(rf"^test {re.escape(name)}(?: - should panic)? \.\.\. (ok|FAILED)$", output, re.MULTILINE)
                if outcome:
                    (passed if outcome[1] == "ok" else failed).append(name)
                elif code is None:
                    failed.append(f"{name} (it hangs)")
                elif code not in (0, TESTS_FAILED):
                    failed.append(f"{name} (the process ended with code {code})")
            printed += [output, said]
        return failed, passed, "\n".join(printed)


def run(command, folder, environment, seconds):
    """Exit code (`None`: it took too long), standard output and standard error."""
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
    )
    try:
        printed, said = process.communicate(timeout=seconds)
        return process.returncode, printed, said
    except BaseException as ended:
        os.killpg(process.pid, signal.SIGKILL)
        printed, said = process.communicate()
        if isinstance(ended, subprocess.TimeoutExpired):
            return None, printed, said
        raise


def report(started, good, line, details=""):
    seconds = time.monotonic() - started
    print(f"scenario mutants: {line} {'ok' if good else 'FAILED'} {seconds:.1f} s", flush=True)
    if not good and details:
        print("\n".join(details.splitlines()[-60:]), flush=True)
    results = os.environ.get("SLUICE_TESTS_RESULTS")
    if results:
        with open(results, "a") as out:
            out.write(f"{'ok' if good else 'FAILED'} {seconds:.1f} mutants: {line}\n")
    return good


def unbroken(cargo, mutants):
    """Every named test exists and passes without any mutant, or its failure with one would say nothing."""
    started = time.monotonic()
    tests = {}
    for mutant in mutants:
        for target, names in mutant.tests.items():
            tests.setdefault(target, []).extend(name for name in names if name not in tests.get(target, []))
    line = f"the {sum(map(len, tests.values()))} named tests pass on the tree as it is"
    programs, trouble = cargo.build(tests)
    if trouble:
        return report(started, False, line, trouble)
    _, passed, output = cargo.test(programs, tests)
    missing = [name for names in tests.values() for name in names if name not in passed]
    return report(started, not missing, line, f"{output}\nfailed, or no test of that name: {', '.join(missing)}")


def is_caught(cargo, tree, mutant):
    started = time.monotonic()
    before, reason = mutant.apply(tree)
    if reason:
        return report(started, False, f"{mutant.name} does not apply", reason)
    try:
        programs, trouble = cargo.build(mutant.tests)
        if trouble and mutant.refusal and mutant.refusal in trouble:
            return report(started, True, f"{mutant.name} is caught by the compiler", trouble)
        if trouble:
            return report(started, False, f"{mutant.name} does not compile: it is no mutant", trouble)
        failed, _, output = cargo.test(programs, mutant.tests)
    finally:
        undo(before)
    if failed:
        return report(started, True, f"{mutant.name} is caught by {', '.join(failed)}")
    return report(started, False, f"{mutant.name} is NOT CAUGHT: {mutant.what}", output)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    # What is running is ended, and the copy is undone, also when the stage takes too long.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    mutants = [Mutant(path) for path in sorted(HERE.rglob("*.mutant"))]
    if arguments.names:
        mutants = [mutant for mutant in mutants if any(name in mutant.name for name in arguments.names)]
    if arguments.list:
        for mutant in mutants:
            by = [name for names in mutant.tests.values() for name in names] + ["the compiler"] * bool(mutant.refusal)
            print(f"{mutant.name}: {mutant.what}\n    {', '.join(by)}")
        return
    if not mutants:
        sys.exit("there is no such mutant; --list shows them")
    if arguments.check:
        reasons = [f"{mutant.name}: {reason}" for mutant in mutants for reason in mutant.stale(ROOT) if reason]
        sys.exit("\n".join(reasons) or None)
    cache = Path(os.environ.get("SLUICE_TESTS_CACHE") or Path.home() / ".cache" / "sluice-tests") / "mutants"
    tree = cache / "tree"
    tree.mkdir(parents=True, exist_ok=True)
    target_dir = os.environ.get("MUTANTS_TARGET_DIR")
    target_dir = target_dir or os.environ.get("CARGO_TARGET_DIR", str(cache / "target")) + "-mutants"
    with open(cache / "lock", "w") as lock:
        # Two runs would break each other's copy.
        fcntl.flock(lock, fcntl.LOCK_EX)
        synced_copy(tree)
        cargo = Cargo(tree, target_dir)
        good = unbroken(cargo, mutants)
        good = good and all([is_caught(cargo, tree, mutant) for mutant in mutants])
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
