"""Kills the broker again and again under load: nothing acknowledged or shown may be lost, doubled, changed or early.

    tests/crash/run.py --kills 6 --seed 1      the moments of the kills follow from the seed, which is printed
"""

import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

import repair
from broker import new_broker
from checks import expect_kept, read_all
from load import Load, Watch
from scenarios import Scenarios, await_until, expect

DELAY_MS = 2_000
TARGET, PROXY = "crash-late", "crash-late.delay.2s"
# A broker that is killed again while it recovers: as often as this.
KILL_IN_RECOVERY = 0.3


class Crashes:
    def __init__(self, broker, kills, seed):
        self.broker, self.kills, self.dice = broker, kills, random.Random(seed)
        self.with_delays = os.environ.get("TEST_BROKER") != "kafka"
        self.loads = [Load(broker.bootstrap, "crash-once", 1_000, True), Load(broker.bootstrap, "crash-plain", 1_000, False)]
        if self.with_delays:
            self.loads.append(Load(broker.bootstrap, PROXY, 300, True))
        self.watches = []

    def play(self):
        for load in self.loads:
            load.start()
        await_until(lambda: all(load.acks for load in self.loads), "every producer has its first acknowledgement", 60)
        topics = ["crash-once", "crash-plain"] + ([TARGET] if self.with_delays else [])
        self.watches = [Watch(self.broker.bootstrap, topic) for topic in topics]
        for watch in self.watches:
            watch.start()
        for number in range(self.kills):
            # Not to wait for anything: the moment itself is what is random.
            time.sleep(self.dice.uniform(0.2, 2.5))
            self.broker.kill()
            while self.dice.random() < KILL_IN_RECOVERY:
                self.broker.spawn()
                time.sleep(self.dice.uniform(0.0, 0.3))
                self.broker.kill()
            self.broker.start()
            counts = [len(load.acks) for load in self.loads]
            await_until(
                lambda before=counts: all(len(load.acks) > count for load, count in zip(self.loads, before, strict=True)),
                f"every producer goes on after kill {number + 1}: {[load.story() for load in self.loads]}", 60,
            )
        for load in self.loads:
            load.finish()
            expect(not load.failed, load.story())
            expect(len(load.acks) == len(load.sent_ms), f"{load.story()} of {len(load.sent_ms)} sent")
            print(load.story(), flush=True)

    def kept(self, topic):
        load = next(load for load in self.loads if load.topic == topic)
        records = read_all(self.broker.bootstrap, topic)
        expect_kept(f"{topic} after {self.kills} kills", load, records, once=load.idempotent)
        watch = next((w for w in self.watches if w.topic == topic), None)
        if watch:
            self.shown_is_kept(watch, records)

    def shown_is_kept(self, watch, records):
        last = {p: offset for p, offset, _, _ in records}
        reached = lambda: watch.troubles or all((p, o) in watch.shown for p, o in last.items())  # noqa: E731
        await_until(reached, f"the {watch.name} has the end of the log", 60)
        expect(not watch.troubles, f"{watch.name}: {watch.troubles[:5]}")
        at = {(p, o): key for p, o, key, _ in records}
        for place, key in watch.shown.items():
            expect(at.get(place) == key, f"the {watch.name} was shown record {key} at {place}, where {at.get(place)} is now")

    def delayed(self):
        load = next(load for load in self.loads if load.topic == PROXY)
        watch = next(w for w in self.watches if w.topic == TARGET)
        await_until(lambda: watch.troubles or load.acks.keys() <= watch.seen_ms.keys(), "every delayed record has come", 60)
        # A delivery that a crash repeats would be repeated at the next start.
        self.broker.stop()
        self.broker.start()
        records = read_all(self.broker.bootstrap, TARGET)
        self.shown_is_kept(watch, records)
        numbers = [int(key) for _, _, key, _ in records]
        missing, extra = load.acks.keys() - set(numbers), len(numbers) - len(set(numbers))
        expect(not missing, f"{len(missing)} delayed records never came, such as {sorted(missing)[:5]}")
        expect(extra == 0, f"{extra} delayed records came more than once")
        for partition in {p for p, _, _, _ in records}:
            order = [int(key) for p, _, key, _ in records if p == partition]
            expect(order == sorted(order), f"delayed records of partition {partition} are out of order")
        early = {n: seen - load.sent_ms[n] for n, seen in watch.seen_ms.items() if seen - load.sent_ms[n] < DELAY_MS}
        expect(not early, f"{len(early)} delayed records came early: {list(early.items())[:5]} ms after they were sent")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    scenarios = Scenarios("crash")
    with new_broker("crash") as broker:
        crashes = Crashes(broker, arguments.kills, arguments.seed)
        if scenarios.run(f"{arguments.kills} kills under load, and the clients go on (seed {arguments.seed})", crashes.play, broker):
            scenarios.run("an idempotent producer's records are there once, in order, where acknowledged", lambda: crashes.kept("crash-once"), broker)
            scenarios.run("a plain producer's acknowledged records are there", lambda: crashes.kept("crash-plain"), broker)
            if crashes.with_delays:
                scenarios.run("a delay topic's acknowledged records are there", lambda: crashes.kept(PROXY), broker)
                scenarios.run("delayed records came once, in order, never early", crashes.delayed, broker)
        for watch in crashes.watches:
            watch.finish()
    if os.environ.get("TEST_BROKER") != "kafka":
        repair.play(scenarios)
    scenarios.finish()


if __name__ == "__main__":
    main()
