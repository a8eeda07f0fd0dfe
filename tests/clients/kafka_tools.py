"""Kafka's own command line tools against the broker, and its dump tool over the files of a partition."""

import glob
import os
import re

from confluent_kafka import Producer

from jobs import Program, CLIENTS
from scenarios import expect

TOPICS = "org.apache.kafka.tools.TopicCommand"
CONFIGS = "kafka.admin.ConfigCommand"
GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
OFFSETS = "org.apache.kafka.tools.GetOffsetShell"
DUMP = "org.apache.kafka.tools.DumpLogSegments"


def run(jvm, tool, *arguments):
    job = jvm.tool(tool, *arguments)
    text = "\n".join(job.output)
    expect(job.exit_code == 0, f"{tool} {' '.join(arguments)} ended with {job.exit_code}: {text} {job.notes}")
    return text


def fill(bootstrap, topic, count, codec="none"):
    # Small batches: an index has an entry only for what stands 4 KiB behind the one before.
    producer = Producer({
        "bootstrap.servers": bootstrap, "compression.type": codec, "enable.idempotence": True, "batch.num.messages": 200, "log_level": 3,
    })
    for number in range(count):
        producer.produce(topic, key=str(number), value=f"{number} {'sluice ' * 12}", partition=number % 3)
        producer.poll(0)
    expect(producer.flush(60) == 0, "records are left unsent")


def tools(scenarios, jvm, broker):
    server = ("--bootstrap-server", broker.bootstrap)

    def topics():
        run(jvm, TOPICS, *server, "--create", "--topic", "tooled", "--partitions", "2", "--replication-factor", "1")
        expect("tooled" in run(jvm, TOPICS, *server, "--list").split(), "a topic that was made is not in the list")
        described = run(jvm, TOPICS, *server, "--describe", "--topic", "tooled")
        expect("PartitionCount: 2" in described and "ReplicationFactor: 1" in described, described)
        again = jvm.tool(TOPICS, *server, "--create", "--topic", "tooled")
        expect(again.exit_code != 0 and "TopicExistsException" in " ".join(again.notes), f"made twice: {again.output} {again.notes}")
        run(jvm, TOPICS, *server, "--alter", "--topic", "tooled", "--partitions", "3")
        expect("PartitionCount: 3" in run(jvm, TOPICS, *server, "--describe", "--topic", "tooled"), "the topic did not grow")
        run(jvm, TOPICS, *server, "--delete", "--topic", "tooled")
        expect("tooled" not in run(jvm, TOPICS, *server, "--list").split(), "a deleted topic is still in the list")

    def configs():
        topic = ("--entity-type", "topics", "--entity-name", "configured")
        run(jvm, TOPICS, *server, "--create", "--topic", "configured", "--partitions", "3")
        run(jvm, CONFIGS, *server, "--alter", *topic, "--add-config", "max.message.bytes=20000")
        expect("max.message.bytes=20000" in run(jvm, CONFIGS, *server, "--describe", *topic), "a config that was set does not show")
        every = run(jvm, CONFIGS, *server, "--describe", "--all", *topic)
        expect("cleanup.policy=delete" in every and "DEFAULT_CONFIG" in every, f"defaults do not show: {every}")
        run(jvm, CONFIGS, *server, "--alter", *topic, "--delete-config", "max.message.bytes")
        expect("max.message.bytes=20000" not in run(jvm, CONFIGS, *server, "--describe", *topic), "a config that was removed still shows")
        own = run(jvm, CONFIGS, *server, "--describe", "--all", "--entity-type", "brokers", "--entity-name", "1")
        for key in ("advertised.listeners=PLAINTEXT://", "log.retention.ms=604800000", "log.cleaner.backoff.ms=15000"):
            expect(key in own, f"the broker's own configs lack {key}: {own}")

    def offsets_and_groups():
        fill(broker.bootstrap, "grouped", 300)
        consumer = Program("python3", os.path.join(CLIENTS, "librdkafka", "confluent.py"))
        consumer.start("consumer", "consume", {"bootstrap": broker.bootstrap, "topic": "grouped", "group": "tooled", "count": 300}).finish()
        ends = set(run(jvm, OFFSETS, *server, "--topic", "grouped").split())
        expect(ends == {"grouped:0:100", "grouped:1:100", "grouped:2:100"}, f"ends: {ends}")
        begins = set(run(jvm, OFFSETS, *server, "--topic", "grouped", "--time", "earliest").split())
        expect(begins == {"grouped:0:0", "grouped:1:0", "grouped:2:0"}, f"begins: {begins}")
        expect("tooled" in run(jvm, GROUPS, *server, "--list").split(), "the group is not in the list")
        described = run(jvm, GROUPS, *server, "--describe", "--group", "tooled")
        rows = re.findall(r"^tooled +grouped +(\d) +(\d+) +(\d+) +(\d+)", described, re.MULTILINE)
        expect(sorted(rows) == [(str(p), "100", "100", "0") for p in range(3)], described)

    scenarios.run("kafka-topics creates, lists, describes, grows and deletes", topics, broker)
    scenarios.run("kafka-configs sets, shows and removes", configs, broker)
    scenarios.run("kafka-get-offsets and kafka-consumer-groups see a group and its offsets", offsets_and_groups, broker)


def dump(scenarios, jvm, broker):
    """After a clean stop; and after a kill with records behind the last recovery point, so that recovery's work is dumped too."""
    count = 9_000

    def check(codec, count):
        topic, batches, entries = f"dumped-{codec}", 0, 0
        for partition in range(3):
            folder = broker.partition_dir(topic, partition)
            files = [f for kind in ("log", "index", "timeindex") for f in sorted(glob.glob(os.path.join(folder, f"*.{kind}")))]
            expect(len(files) >= 3, f"{folder} lacks files: {os.listdir(folder)}")
            text = run(jvm, DUMP, "--deep-iteration", "--files", ",".join(files))
            expect("isvalid: false" not in text, f"{folder}: an invalid batch: {text[:2000]}")
            for trouble in ("ismatch", "Non-consecutive", "not found", "Found", "orrupt", "out of order", "Exception"):
                at = text.find(trouble)
                expect(at < 0, f"{folder}: the dump tool says '{trouble}': {text[max(0, at - 200):at + 500]}")
            batches += text.count("isvalid: true")
            entries += len(re.findall(r"^offset: \d+ position: \d+|^timestamp: \d+ offset: \d+", text, re.MULTILINE))
            records = len(re.findall(r"^\| offset: ", text, re.MULTILINE))
            expect(records == count // 3, f"{folder}: {records} records are in the dump, {count // 3} were sent")
        expect(batches >= 3 and entries >= 3, f"{topic}: only {batches} batches and {entries} index entries were dumped")

    def whole():
        for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
            fill(broker.bootstrap, f"dumped-{codec}", count, codec)
        broker.stop()
        for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
            check(codec, count)

    def after_kill():
        broker.start()
        for codec in ("none", "lz4"):
            fill(broker.bootstrap, f"dumped-{codec}", count, codec)
        broker.kill()
        broker.start()
        broker.stop()
        for codec in ("none", "lz4"):
            check(codec, 2 * count)

    scenarios.run("kafka-dump-log finds every batch and index entry valid", whole, broker)
    scenarios.run("kafka-dump-log finds them valid after kill -9 and recovery", after_kill, broker)
