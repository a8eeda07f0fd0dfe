"""A client that lies: frames of every API and version with hostile fields, in sequences, on both ports, beside a bystander.

    tests/attacks/fuzz.py --seconds 90               a new seed, which is printed
    tests/attacks/fuzz.py --seconds 90 --seed 7      the same choices again (what the broker answers may differ in time)
    tests/attacks/fuzz.py --round 7/2/1234           one round, as a report names it, against a broker of its own

The promises are those of every attack (scene.py): alive, memory, bystander, back after ten seconds. And each answer to a
request that is well formed decodes by Kafka's definitions, none is UNKNOWN_SERVER_ERROR or HTTP 500, and every API that
the broker offers was answered at least once, or the fuzzer did not speak.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time

from attack import Attack
from scenarios import Scenarios, expect

WORKERS = 3
ROUTES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "openapi", "openapi.json")


def routes():
    """Every path with its methods, as the gateway documents itself."""
    with open(ROUTES) as document:
        paths = json.load(document)["paths"]
    return [(path, [method.upper() for method in methods if method in ("get", "post", "put", "patch", "delete")]) for path, methods in sorted(paths.items())]


def work(seed, worker, seconds, kafka_port, http_port):
    """One worker's rounds, in a process of its own; the report is the last line."""
    from hostile_rounds import Rounds

    rounds, number, deadline = Rounds(kafka_port, http_port, routes()), 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        number += 1
        # Where it was, for the case that this round is the last.
        print(f"{seed}/{worker}/{number}", flush=True)
        rounds.play(f"{seed}/{worker}/{number}")
    print(json.dumps({"rounds": number, "sent": rounds.sent, "answered": rounds.answered, "statuses": rounds.statuses, "findings": rounds.findings, "offered": sorted(rounds.offered)}))


def together(scene, seed, seconds):
    """All workers beside each other; what they found."""
    workers = []
    for worker in range(WORKERS):
        log = open(os.path.join(scene.broker.work, f"worker-{worker}.log"), "w+")
        command = [sys.executable, os.path.abspath(__file__), "--worker", str(worker), "--seed", str(seed), "--seconds", str(seconds), "--ports", f"{scene.port},{scene.http_port}"]
        workers.append((subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log), log))
    answered, findings, offered = {}, [], set()
    for number, (process, log) in enumerate(workers):
        try:
            code = process.wait(seconds + 60)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        log.seek(0)
        lines = log.read().splitlines()
        log.close()
        if code != 0 or not lines:
            findings.append(f"worker {number} ended with code {code}: {' | '.join(lines[-12:])}")
            continue
        report = json.loads(lines[-1])
        findings += report.pop("findings")
        offered |= set(report.pop("offered"))
        for api, count in report["answered"].items():
            answered[api] = answered.get(api, 0) + count
        scene.notes[f"worker {number}"] = {"rounds": report["rounds"], "statuses": report["statuses"], "sent": sum(report["sent"].values())}
    scene.notes["answered"] = dict(sorted(answered.items()))
    unanswered = offered - answered.keys()
    if unanswered:
        findings.append(f"never answered: {sorted(unanswered)}")
    expect(not findings, "\n   ".join(findings))


def one_round(name):
    """One round again, against a broker of its own."""
    from hostile_rounds import Rounds
    from scene import new_scene_broker

    with new_scene_broker(Attack("fuzz", "", None), 64) as broker:
        rounds = Rounds(broker.ports, broker.ports + 1, routes())
        rounds.play(name)
        print(json.dumps({"answered": rounds.answered, "statuses": rounds.statuses, "findings": rounds.findings}, indent=1))
        print(broker.log_tail(10))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=90)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--budget", type=int, default=64, help="in MiB")
    parser.add_argument("--answer-seconds", type=float, default=1.0, help="how long an answer to the bystander may take")
    parser.add_argument("--round", help="one round of an earlier run: SEED/WORKER/NUMBER")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--ports", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        work(arguments.seed, arguments.worker, arguments.seconds, *map(int, arguments.ports.split(",")))
        return
    if arguments.round:
        one_round(arguments.round)
        return
    from scene import play

    print(f"seed {arguments.seed}", flush=True)
    fuzz = Attack("fuzz", "a client that lies", lambda scene: together(scene, arguments.seed, arguments.seconds), stays_mb=64)
    scenarios = Scenarios("fuzz")

    def judge():
        broken, notes = play(fuzz, arguments.budget, False, arguments.answer_seconds)
        print(json.dumps(notes), flush=True)
        expect(not broken, "\n   ".join(["these promises were broken:", *broken]))

    scenarios.run(f"a client that lies, for {arguments.seconds} s (seed {arguments.seed}, {arguments.budget} MiB)", judge)
    scenarios.finish()


if __name__ == "__main__":
    main()
