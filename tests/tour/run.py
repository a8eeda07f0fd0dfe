"""Runs the README's tour as it is written there, against a fresh broker.

Each ```sh block of the section is a script (bash, failing at the first error); the ```text block that follows is what it
must print. Only the addresses differ: `localhost:9092` and `localhost:8082` become those of the broker under test.
"""

import os
import re
import subprocess
import tempfile

from broker import ROOT, new_broker
from scenarios import Scenarios, expect

SECTION = "A tour in five minutes"
STEP_SECONDS_MAX = 180


def steps():
    """(script, expected output) in the order of the README."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as readme:
        section = re.search(rf"^## {SECTION}$(.*?)^## ", readme.read(), re.MULTILINE | re.DOTALL)
    expect(section, f"README.md has no section '{SECTION}'")
    blocks = re.findall(r"^```sh\n(.*?)^```\n(?:```text\n(.*?)^```$)?", section[1], re.MULTILINE | re.DOTALL)
    expect(len(blocks) >= 5, f"only {len(blocks)} steps were found in the tour")
    expect(all(output for _, output in blocks), "every step of the tour says what it prints")
    return blocks


def play(script, expected, broker, folder):
    for written, real in (("localhost:9092", broker.bootstrap), ("localhost:8082", broker.http.removeprefix("http://"))):
        script = script.replace(written, real)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=STEP_SECONDS_MAX, check=False,
    )
    said = f"it printed:\n{done.stdout}\n{done.stderr}"
    expect(done.returncode == 0, f"exit code {done.returncode}; {said}")
    expect(done.stdout.rstrip() == expected.rstrip(), f"expected was:\n{expected}\n{said}")


def main():
    scenarios = Scenarios("tour")
    # One partition for topics made by themselves: what a broker started as the README says has.
    with new_broker("tour", {"SLUICE_NUM_PARTITIONS": "1"}) as broker, tempfile.TemporaryDirectory(prefix="sluice-tour-") as folder:
        # The tour is walked in a clone; what it downloads must not end up in this one.
        os.symlink(os.path.join(ROOT, "plugins"), os.path.join(folder, "plugins"))
        for number, (script, expected) in enumerate(steps(), 1):
            title = f"step {number}: {script.splitlines()[0][:60]}"
            if not scenarios.run(title, lambda s=script, e=expected: play(s, e, broker, folder), broker):
                break
    scenarios.finish()


if __name__ == "__main__":
    main()
