"""A byte of a log rots below what was durable: the broker says so and serves the rest, `sluice log repair` takes it out."""

import hashlib
import os
import subprocess

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from broker import new_broker
from checks import read_all
from dump_tools import batches_at, files_of
from program import value_of
from scenarios import await_until, expect

TOPIC = "rotten"
RECORDS, A_BATCH = 600, 10
SKIPPED, CUT, SOUND = 0, 1, 2
MAGIC_AT = 16


class Rot:
    def __init__(self, broker):
        self.broker = broker
        self.logs = {p: os.path.join(broker.partition_dir(TOPIC, p), "00000000000000000000.log") for p in (SKIPPED, CUT)}
        self.lost = {}  # partition → offsets of the batch that is damaged

    def sluice(self, *arguments, code=0):
        ended = subprocess.run([self.broker.binary, "log", *arguments, "--data-dir", self.broker.data_dir], capture_output=True, text=True, timeout=60, check=False)
        expect(ended.returncode == code, f"sluice log {arguments} ended with {ended.returncode}: {ended.stdout} {ended.stderr}")
        return ended.stdout + ended.stderr

    def produce(self, numbers, partition_of, timeout_ms=30_000):
        """Small batches; what was acknowledged where, and what was not."""
        producer = Producer({"bootstrap.servers": self.broker.bootstrap, "acks": "all", "message.timeout.ms": timeout_ms, "linger.ms": 1, "log_level": 0})
        acked, failed = {}, {}

        def told(error, message, number):
            if error:
                failed[number] = str(error)
            else:
                acked[number] = (message.partition(), message.offset())

        for number in numbers:
            producer.produce(TOPIC, key=str(number), value=value_of(number), partition=partition_of(number), on_delivery=lambda e, m, n=number: told(e, m, n))
            if number % (3 * A_BATCH) == 3 * A_BATCH - 1:
                producer.flush(60)
        producer.flush(60)
        return acked, failed

    def rot(self):
        acked, failed = self.produce(range(RECORDS), lambda number: number % 3)
        expect(len(acked) == RECORDS and not failed, f"not everything was acknowledged: {failed}")
        # The stop writes down how far everything is durable; what is served next is not stopped in order.
        self.broker.stop()
        self.broker.start()
        self.broker.kill()
        for partition, log in self.logs.items():
            found = batches_at(log)
            at, _ = found[len(found) // 2]
            with open(log, "r+b") as file:
                file.seek(at)
                head = file.read(61)
                first, delta = int.from_bytes(head[:8], "big"), int.from_bytes(head[23:27], "big")
                self.lost[partition] = range(first, first + delta + 1)
                file.seek(at + MAGIC_AT)
                file.write(b"\x42")

    def served_up_to_there(self):
        self.broker.spawn()
        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap, "log_level": 0})

        def answers():
            try:
                return admin.list_topics(timeout=5)
            except KafkaException:
                return None

        await_until(answers, "the broker answers", 60)
        expect(not self.broker.is_ready(), "a broker with a damaged partition says that all is well")
        for partition, log in self.logs.items():
            expect(f"{log} is damaged at byte" in self.broker.log_tail(400), f"the log does not name {log}: {self.broker.log_tail()}")
            below = self.lost[partition].start
            consumer = Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": "reader", "enable.auto.commit": False, "log_level": 0})
            consumer.assign([TopicPartition(TOPIC, partition, 0)])
            for offset in range(below):
                message = consumer.poll(30)
                expect(message is not None and message.error() is None and message.offset() == offset, f"offset {offset} of partition {partition}: {message and (message.error() or message.offset())}")
            consumer.close()
        acked, failed = self.produce(range(RECORDS, RECORDS + 3), lambda number: number % 3, timeout_ms=4_000)
        places = sorted(partition for partition, _ in acked.values())
        expect(places == [SOUND] and len(failed) == 2, f"only the sound partition takes records: {acked} {failed}")
        said = self.sluice("repair", code=2)
        expect("another process uses" in said, f"under a running broker: {said}")
        self.broker.kill()

    def shown(self):
        before = self.hashes()
        said = self.sluice("repair")
        for partition, log in self.logs.items():
            lost = self.lost[partition]
            for words in (f"{TOPIC}-{partition} is damaged", log, f"{lost.start} to {lost.stop - 1} cannot be read", f"{TOPIC}-{partition} --apply=cut", f"{TOPIC}-{partition} --apply=skip"):
                expect(words in said, f"'{words}' is not in what repair says: {said}")
        expect(f"{TOPIC}-{SOUND}" not in said, f"a sound partition is shown: {said}")
        expect("2 of the partitions are damaged" in self.sluice("check", code=1), "check does not count them")
        expect(self.hashes() == before, "looking has changed a log")

    def hashes(self):
        found = {}
        for log in self.logs.values():
            with open(log, "rb") as file:
                found[log] = hashlib.sha256(file.read()).hexdigest()
        return found

    def repaired(self):
        self.sluice("repair", f"{TOPIC}-{SKIPPED}", "--apply=skip")
        self.sluice("repair", f"{TOPIC}-{CUT}", "--apply=cut")
        expect("nothing is damaged" in self.sluice("repair"), "something is still damaged")
        self.sluice("check")
        for partition in self.logs:
            expect(files_of(self.broker.partition_dir(TOPIC, partition), "cut-1"), f"nothing was kept of partition {partition}")
        self.broker.start()
        records = read_all(self.broker.bootstrap, TOPIC)
        for partition, wanted in ((SKIPPED, set(range(RECORDS // 3)) - set(self.lost[SKIPPED])), (CUT, set(range(self.lost[CUT].start)))):
            there = [(offset, key) for p, offset, key, _ in records if p == partition]
            expect([offset for offset, _ in there] == sorted(wanted), f"partition {partition} has offsets {[offset for offset, _ in there]}")
            expect(all(int(key) == offset * 3 + partition for offset, key in there), f"partition {partition} has records at other offsets than before")
        acked, failed = self.produce(range(RECORDS + 3, RECORDS + 6), lambda number: number % 3)
        expect(not failed, f"records are refused after the repair: {failed}")
        expect(dict(acked.values())[SKIPPED] == RECORDS // 3, f"offsets are given twice: {acked}")
        expect(dict(acked.values())[CUT] == self.lost[CUT].start, f"the cut partition goes on elsewhere: {acked}")
        self.broker.stop()


def play(scenarios):
    broker = new_broker("rot")
    rot = Rot(broker)
    try:
        broker.start()
        rot.rot()
        steps = (
            ("a partition with a rotten byte is named, readable up to there and takes nothing", rot.served_up_to_there),
            ("sluice log repair shows the damage and the choices, and changes nothing", rot.shown),
            ("after cut and skip the broker serves what is whole, at its offsets", rot.repaired),
        )
        for name, step in steps:
            if not scenarios.run(name, step, broker):
                break
    finally:
        if broker.process is not None:
            broker.kill()
