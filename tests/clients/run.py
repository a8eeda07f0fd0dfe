"""Plays the list of scenarios with every client, against a broker of its own each (README.md has the interface).

    tests/clients/run.py                       all clients, all scenarios, then Kafka's tools
    tests/clients/run.py --only kafkajs,dump   some clients, or `tools`, or `dump`
"""

import argparse
import os

import dump_tools
import kafka_tools
from batches import codecs
from broker import new_broker
from checks import (
    PARTITIONS, committed, delete_first_half, expect_acknowledged, expect_exactly, expect_kept, expect_whole, make_topics, members, read_all,
    timestamp_kinds,
)
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME
from jobs import CACHE, CLIENTS, Jvm, JvmProgram, Program
from scenarios import Scenarios, await_until, expect

MANY = 10_000
ALL_CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
# Fast enough to keep requests in flight all the time, slow enough that the kill comes in the middle.
KILL_RATE = 4_000


class Client:
    """A client, what it offers, and the settings that its users would have."""

    def __init__(self, name, program, offers=ALL_CODECS, idempotence=("true",)):
        self.name, self.program, self.offers, self.idempotence = name, program, offers, idempotence


def clients(jvm):
    librdkafka = os.path.join(CLIENTS, "librdkafka")
    return [
        Client("kcat", Program("python3", os.path.join(librdkafka, "kcat.py")), idempotence=("false", "true")),
        Client("confluent-kafka", Program("python3", os.path.join(librdkafka, "confluent.py")), idempotence=("false", "true")),
        Client("kafka-python", Program("python3", os.path.join(CLIENTS, "python", "kafka_python.py")), idempotence=("true", "false")),
        Client("kafkajs", Program("node", os.path.join(CLIENTS, "js", "main.js")), offers=("none", "gzip", "snappy"), idempotence=("false",)),
        Client("sarama", Program(os.path.join(CACHE, "go", "sarama")), idempotence=("false", "true")),
        Client("franz-go", Program(os.path.join(CACHE, "go", "franz")), idempotence=("true",)),
        Client("java", JvmProgram(jvm), idempotence=("true",)),
        Client("java-console", JvmProgram(jvm, "console-"), idempotence=("true",)),
    ]


class Play:
    """One client on one broker: the scenarios."""

    def __init__(self, client, broker):
        self.client, self.broker = client, broker
        self.running = []

    def start(self, action, topic, **options):
        job = self.client.program.start(
            f"{self.client.name} {action} {topic}", action, {"bootstrap": self.broker.bootstrap, "topic": topic} | options,
        )
        self.running.append(job)
        return job

    def produce(self, topic, first, count, **options):
        """Produces, and makes sure of the acknowledgements."""
        job = self.start("produce", topic, first=first, count=count, **({"codec": "none"} | options)).finish()
        expect_acknowledged(job, range(first, first + count))

    def abandon_all(self):
        for job in self.running:
            if job.exit_code is None:
                job.abandon()
        self.running.clear()

    def every_record_with(self, codec):
        """10,000 records in, kept in the codec that the producer chose; a group gets all of them, in order, and its commit holds."""
        topic = f"codec-{codec}"
        self.produce(topic, 0, MANY, codec=codec)
        for partition in range(PARTITIONS):
            found = codecs(self.broker.partition_dir(topic, partition))
            expect(codec in found and found <= {codec, "none"}, f"partition {partition} holds batches with {found}, sent was {codec}")
        consumer = self.start("consume", topic, group=f"all-{codec}", count=MANY).finish()
        expect_exactly("the group", consumer.records, range(MANY))
        ends = {p: sum(1 for r in consumer.records if r[0] == p) for p in range(PARTITIONS)}
        expect(committed(self.broker.bootstrap, f"all-{codec}", topic) == ends, "the group's committed offsets are not the ends of the partitions")

    def as_the_topic_says(self):
        """A topic with a compression and a clock of its own: kept in that codec, with the broker's times, and read back whole."""
        codec = self.client.offers[-1]
        topic, times = f"kept-{codec}", "append-time"
        make_topics(self.broker.bootstrap, {topic: {"compression.type": codec}, times: {"message.timestamp.type": "LogAppendTime"}})
        for name in (topic, times):
            self.produce(name, 0, 1_000)
            consumer = self.start("consume", name, group=f"of-{name}", count=1_000).finish()
            expect_exactly("the group", consumer.records, range(1_000))
        found = {kept for p in range(PARTITIONS) for kept in codecs(self.broker.partition_dir(topic, p))}
        expect(found == {codec}, f"the topic's compression is {codec}, its batches have {found}")
        expect(timestamp_kinds(self.broker.bootstrap, times) == {TIMESTAMP_LOG_APPEND_TIME}, "every record has the time of its append")

    def resume_after_restart(self):
        """A consumer reads a part and commits; the broker restarts; the next one goes on exactly there."""
        count, part = 3_000, 1_000
        self.produce("resume", 0, count)
        before = self.start("consume", "resume", group="resume", count=part).finish()
        expect(len(before.records) == part, f"{part} records were wanted, {len(before.records)} came")
        self.broker.stop()
        self.broker.start()
        self.produce("resume", count, 300)
        after = self.start("consume", "resume", group="resume", count=count + 300 - part).finish()
        expect_exactly("both consumers together", before.records + after.records, range(count + 300))

    def resume_after_retention(self):
        """The records at a group's commit are gone; the next consumer goes on with the first that are left. (kafkajs commits -1 or -2 then.)"""
        self.produce("retained", 0, 3_000)
        self.start("consume", "retained", group="retained", count=90).finish()
        before = committed(self.broker.bootstrap, "retained", "retained")
        firsts = delete_first_half(self.broker.bootstrap, "retained")
        expect(any(0 <= before[p] < first for p, first in firsts.items()), f"the commits {before} are not behind the first records {firsts}")
        left = read_all(self.broker.bootstrap, "retained")
        after = self.start("consume", "retained", group="retained", count=len(left)).finish()
        expect(sorted(after.records) == sorted(left), f"{len(left)} records are left, {len(after.records)} came, or others")
        ends = {p: max(r[1] for r in left if r[0] == p) + 1 for p in {r[0] for r in left}}
        now = committed(self.broker.bootstrap, "retained", "retained")
        expect(all(now[p] == end for p, end in ends.items()), f"committed is {now}, read was up to {ends}")

    def two_share_a_group(self):
        """Two members share the partitions; each record reaches one of them; when one leaves, the other takes over."""
        self.produce("share", 0, 300)
        first = self.start("consume", "share", group="share")
        first.wait_until(lambda: len(first.records) >= 300, "the first member has all records")
        second = self.start("consume", "share", group="share")

        def shared():
            parts = list(members(self.broker.bootstrap, "share").values())
            return len(parts) == 2 and all(parts) and set.union(*parts) == set(range(PARTITIONS)) and not set.intersection(*parts)

        await_until(shared, "two members share the three partitions", 60)
        self.produce("share", 300, 600)

        def fresh(first_number, *jobs):
            return [r for job in jobs for r in job.records if int(r[2]) >= first_number]

        await_until(lambda: len(fresh(300, first, second)) >= 600, "the two members have the next 600 records", 60)
        expect_exactly("the two members", fresh(300, first, second), range(300, 900))
        expect(fresh(300, first) and fresh(300, second), "one member got everything")
        first.stop_and_finish()
        self.produce("share", 900, 300)
        second.wait_until(lambda: len(fresh(900, second)) >= 300, "the member that stays has the last 300 records")
        second.stop_and_finish()
        late = [r for r in second.records if int(r[2]) < 300]
        expect(not late or {r[2] for r in late} <= {r[2] for r in first.records}, "the second member read what the first had not")
        expect_whole("the second member", second.records)
        expect_exactly("the member that stays", fresh(900, second), range(900, 1_200))

    def survive_kill(self, idempotent):
        """kill -9 while producing and consuming; the clients go on by themselves; what was acknowledged is there."""
        topic = f"kill-{'idempotent' if idempotent == 'true' else 'plain'}"
        self.produce(topic, 0, 300, idempotent=idempotent)
        consumer = self.start("consume", topic, group=topic)
        consumer.wait_until(lambda: consumer.records, "the consumer has begun")
        producer = self.start("produce", topic, first=300, count=MANY, codec="none", rate=KILL_RATE, idempotent=idempotent)
        producer.wait_until(lambda: producer.progress >= MANY // 4, "a quarter is acknowledged")
        self.broker.kill()
        expect(producer.progress < MANY, "the kill came too late to be in the middle")
        self.broker.start()
        producer.finish(150)
        expect(not producer.failed, f"records were given up: {producer.story()}")
        acknowledged = {str(n) for n in producer.acks}
        expect(len(acknowledged) == MANY, f"{len(acknowledged)} of {MANY} records were acknowledged in the end")
        records = read_all(self.broker.bootstrap, topic)
        expect_kept("after the kill", producer, records, once=idempotent == "true")
        consumer.wait_until(lambda: acknowledged <= {r[2] for r in consumer.records}, "the consumer has every acknowledged record")
        consumer.stop_and_finish()
        expect_whole("the consumer", consumer.records)

    def all(self, scenarios, wanted):
        name = self.client.name
        plays = [(f"{MANY:,} records, {codec}", lambda codec=codec: self.every_record_with(codec)) for codec in self.client.offers]
        plays.append(("resume at the commit after a restart", self.resume_after_restart))
        plays.append(("resume where retention has removed the commit's records", self.resume_after_retention))
        plays.append(("two members share a group", self.two_share_a_group))
        plays.append(("a topic's own compression and time", self.as_the_topic_says))
        for idempotent in self.client.idempotence:
            kind = "idempotent" if idempotent == "true" else "plain"
            plays.append((f"kill -9 while producing, {kind}", lambda i=idempotent: self.survive_kill(i)))
        for title, play in plays:
            if wanted in title:
                scenarios.run(f"{name}: {title}", play, self.broker)
                self.abandon_all()
                if self.broker.process is None:
                    self.broker.start()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names of clients, and `tools` or `dump`, between commas")
    parser.add_argument("--scenario", default="", help="only scenarios with this in their name")
    arguments = parser.parse_args()
    only = set(arguments.only.split(",")) - {""}
    scenarios, jvm = Scenarios("clients"), Jvm()
    for client in clients(jvm):
        if only and client.name not in only:
            continue
        with new_broker(client.name) as broker:
            Play(client, broker).all(scenarios, arguments.scenario)
    for name, play in (("tools", kafka_tools.tools), ("dump", kafka_tools.dump)):
        if not only or name in only:
            with new_broker(name) as broker:
                play(scenarios, jvm, broker)
    if not only or "dump" in only:
        dump_tools.beside(scenarios, jvm, new_broker("dump-tools").work)
    jvm.close()
    scenarios.finish()


if __name__ == "__main__":
    main()
