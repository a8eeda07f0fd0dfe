"""Attacks on a running broker: none stops it, none makes it grow, none keeps others waiting.

    tests/attacks/run.py                     every attack in its short form, at a budget of 64 MiB, two side by side
    tests/attacks/run.py --long              the whole of each, one after the other, at budgets of 64 and 256 MiB
    tests/attacks/run.py --budgets 256 NAME...
    tests/attacks/run.py --list              what they are

Each attack has a broker and a process of its own. What must hold meanwhile stands in scene.py. The sabotages at the end of
the list break the broker on purpose: each has to be noticed.
"""

import argparse
import concurrent.futures
import json
import os
import resource
import shutil
import subprocess
import sys

import attacks_by_opening
import attacks_by_requests
import attacks_on_budget
import attacks_on_state
import attacks_on_threads
from attack import ATTACKS
from scene import play
from scenarios import Scenarios, expect

MODULES = (attacks_on_budget, attacks_by_requests, attacks_by_opening, attacks_on_state, attacks_on_threads)
ATTACK_SECONDS_MAX = 900


def play_here(name, budget_mb, long, answer_seconds_max):
    """In a process of its own: one attack; the result is the last line of the output."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    broken, notes = play(ATTACKS[name], budget_mb, long, answer_seconds_max)
    print(json.dumps({"broken": broken, "notes": notes}), flush=True)


def play_apart(name, budget_mb, long, answer_seconds_max):
    command = [sys.executable, os.path.abspath(__file__), "--here", "--budgets", str(budget_mb), *(["--long"] if long else [])]
    command += ["--answer-seconds", str(answer_seconds_max), name]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ATTACK_SECONDS_MAX, check=False)
    expect(done.returncode == 0, f"exit code {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def judge(attack, budget_mb, long, answer_seconds_max):
    result = play_apart(attack.name, budget_mb, long, answer_seconds_max)
    broken = result["broken"]
    print(f"   {attack.name} at {budget_mb} MiB: {json.dumps(result['notes'])}", flush=True)
    if attack.sabotage:
        expect(any(line.startswith(attack.sabotage) for line in broken), f"the sabotage was not noticed: {broken}")
    else:
        expect(not broken, "\n   ".join(["these promises were broken:", *broken]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--budgets", default=None, help="in MiB, separated by commas")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--answer-seconds", type=float, default=1.0, help="how long an answer to the bystander may take")
    parser.add_argument("--jobs", type=int, default=None, help="attacks side by side")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in ATTACKS]
    if unknown:
        parser.error(f"no attack is called {', '.join(unknown)}")
    budgets = [int(budget) for budget in (arguments.budgets or ("64,256" if arguments.long else "64")).split(",")]
    if arguments.list:
        for attack in ATTACKS.values():
            print(f"{attack.name}: {attack.what}")
        return
    if arguments.here:
        play_here(arguments.names[0], budgets[0], arguments.long, arguments.answer_seconds)
        return
    names = arguments.names or list(ATTACKS)
    scenarios = Scenarios("attacks")
    jobs = arguments.jobs or (1 if arguments.long else 2)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for budget in budgets:
            for name in names:
                attack = ATTACKS[name]
                pool.submit(scenarios.run, f"{attack.what} ({name}, {budget} MiB)", lambda a=attack, b=budget: judge(a, b, arguments.long, arguments.answer_seconds))
    scenarios.finish()


if __name__ == "__main__":
    shutil.which("prlimit") or sys.exit("prlimit is missing (util-linux)")
    main()
