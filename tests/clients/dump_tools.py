"""`sluice dump-log` beside Kafka's dump tool: the same lines of the same files, whichever broker wrote them."""

import glob
import os
import random
import shutil
import subprocess

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from broker import Kafka, Sluice
from scenarios import expect

DUMP = "org.apache.kafka.tools.DumpLogSegments"
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
KINDS = ("log", "index", "timeindex", "txnindex", "snapshot")
HEADER_BYTES = 61


def ours(*arguments):
    """What our tool prints, what it complains of, and its exit code."""
    binary = os.environ.get("SLUICE_BIN") or shutil.which("sluice")
    ended = subprocess.run([binary, "dump-log", *arguments], capture_output=True, timeout=60, check=False)
    return lines(ended.stdout), lines(ended.stderr), ended.returncode


def lines(text):
    """Cut at line feeds alone: a payload may hold other things that Python takes for the end of a line."""
    found = text.decode().split("\n")
    return found[:-1] if found[-1] == "" else found


def expect_same(jvm, files, *flags, damaged=False):
    """Runs both tools; returns the lines."""
    arguments = [*flags, "--files", ",".join(files)]
    job = jvm.tool(DUMP, *arguments)
    out, err, code = ours(*arguments)
    what = f"dump {' '.join(flags)} of {files}"
    for number, (mine, theirs) in enumerate(zip(out, job.output)):
        expect(mine == theirs, f"{what}: line {number} is\n  {mine[:600]}\nand Kafka's is\n  {theirs[:600]}")
    expect(len(out) == len(job.output), f"{what}: {len(out)} lines, Kafka prints {len(job.output)}; {err[-3:]} {job.notes[-3:]}; the last are {out[-1][:200]} and {job.output[-1][:200]}")
    expect((code == 0) == (job.exit_code == 0), f"{what}: ended with {code}, Kafka's with {job.exit_code}: {err[-3:]} {job.notes[-3:]}")
    if code == 0 and len(files) == 1:
        expect(err == job.notes, f"{what}: says {err[:5]}, Kafka's {job.notes[:5]}")
    expect(damaged or code == 0, f"{what}: {err[-3:]}")
    return out


def files_of(folder, *kinds):
    return [file for kind in kinds for file in sorted(glob.glob(os.path.join(folder, f"*.{kind}")))]


def create(bootstrap, name, **config):
    topic = NewTopic(name, 1, 1, config={key.replace("_", "."): value for key, value in config.items()})
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})
    for future in admin.create_topics([topic]).values():
        future.result(30)


def record(number):
    """Null keys, null values, headers with and without value, and bytes that are no text."""
    chance = random.Random(number)
    headers = [("trace", b"\xff\xfe"), ("null", None), ("trace", f"{number}".encode()), ("käse", b"")]
    return {
        "key": None if number % 3 == 0 else f"key {number % 7}",
        "value": None if number % 5 == 0 else chance.randbytes(chance.randrange(1_600)),
        "headers": headers[: number % 5],
    }


def fill(bootstrap, topic, codec, numbers, **settings):
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "enable.idempotence": True, "batch.num.messages": 40, "linger.ms": 20, "log_level": 3, **settings})
    transactional = "transactional.id" in settings
    if transactional:
        producer.init_transactions(30)
    for at in range(0, len(numbers), 60):
        if transactional:
            producer.begin_transaction()
        for number in numbers[at : at + 60]:
            producer.produce(topic, partition=0, **record(number))
            producer.poll(0)
        expect(producer.flush(60) == 0, "records are left unsent")
        if transactional and at // 60 % 2:
            producer.abort_transaction(30)
        elif transactional:
            producer.commit_transaction(30)


def fill_all(bootstrap, transactions):
    create(bootstrap, "varied", segment_bytes="1048576", index_interval_bytes="4096")
    create(bootstrap, "stamped", message_timestamp_type="LogAppendTime")
    for turn, codec in enumerate(CODECS):
        fill(bootstrap, "varied", codec, range(turn * 600, turn * 600 + 600))
        fill(bootstrap, "stamped", codec, range(30))
    if transactions:
        fill(bootstrap, "varied", "lz4", range(600), **{"transactional.id": "dumped", "transaction.timeout.ms": 30_000})


def compare_all(jvm, broker, kinds):
    """Every file of the topics, shallow and deep; how many lines there were of each kind."""
    counts = dict.fromkeys(KINDS, 0)
    for topic in ("varied", "stamped"):
        folder = broker.partition_dir(topic, 0)
        for kind in KINDS:
            for file in files_of(folder, kind):
                counts[kind] += len(expect_same(jvm, [file])) - 1
        logs = files_of(folder, "log")
        expect_same(jvm, logs, "--print-data-log")
        expect_same(jvm, logs[-1:], "--deep-iteration", "--max-bytes", "30000")
        expect_same(jvm, logs[:1], "--print-data-log", "--skip-record-metadata")
        expect_same(jvm, files_of(folder, "index", "timeindex"), "--verify-index-only")
        expect_same(jvm, files_of(folder, "index", "timeindex"), "--index-sanity-check", damaged=True)
    expect(len(files_of(broker.partition_dir("varied", 0), "log")) >= 2, "the log did not roll")
    expect(all(counts[kind] >= 3 for kind in kinds), f"some files are empty: {counts}")


def batches_at(file):
    """Where the batches of a log begin, and how long they are."""
    with open(file, "rb") as log:
        data = log.read()
    at, found = 0, []
    while at + HEADER_BYTES <= len(data):
        size = 12 + int.from_bytes(data[at + 8 : at + 12], "big")
        found.append((at, size))
        at += size
    return found


def compare_damaged(jvm, broker, work):
    """Copies with one thing broken; both tools say the same, or stop in the same place."""
    source = files_of(broker.partition_dir("varied", 0), "log")[0]
    found = batches_at(source)
    second, size = found[1]
    middle = found[len(found) // 2][0]
    breaks = {
        "a byte of a value": lambda data: data.__setitem__(second + size - 30, data[second + size - 30] ^ 1),
        "the checksum": lambda data: data.__setitem__(second + 18, data[second + 18] ^ 0x80),
        "the last offset delta": lambda data: data.__setitem__(second + 26, data[second + 26] ^ 7),
        "the record count": lambda data: data.__setitem__(second + 60, data[second + 60] ^ 7),
        "a length that is too small": lambda data: data.__setitem__(slice(second + 8, second + 12), b"\0\0\0\x05"),
        "a length that is too large": lambda data: data.__setitem__(second + 8, 0x7f),
        "the codec": lambda data: data.__setitem__(second + 22, data[second + 22] | 7),
        "the magic byte": lambda data: data.__setitem__(second + 16, 1),
        "magic 0": lambda data: data.__setitem__(second + 16, 0),
        "a newer magic": lambda data: data.__setitem__(second + 16, 3),
        "a torn end": lambda data: data.__delitem__(slice(middle + 40, None)),
        "a length that hits a record": lambda data: data.__setitem__(second + 61, data[second + 61] ^ 2),
    }
    for name, damage in breaks.items():
        folder = os.path.join(work, name.replace(" ", "-"))
        os.makedirs(folder)
        for file in files_of(os.path.dirname(source), "log", "index", "timeindex"):
            if os.path.basename(file).split(".")[0] == os.path.basename(source).split(".")[0]:
                shutil.copy(file, folder)
        copy = os.path.join(folder, os.path.basename(source))
        with open(copy, "r+b") as log:
            data = bytearray(log.read())
            damage(data)
            log.seek(0)
            log.write(data)
            log.truncate(len(data))
        expect_same(jvm, [copy], damaged=True)
        if not name.startswith("magic") and name != "the magic byte":
            expect_same(jvm, [copy], "--deep-iteration", damaged=True)
        expect_same(jvm, [copy.replace(".log", ".index")], damaged=True)


def beside(scenarios, jvm, work):
    """The files of both brokers under both tools."""

    def of_ours():
        with Sluice(os.path.join(work, "sluice-files")) as broker:
            fill_all(broker.bootstrap, transactions=False)
        compare_all(jvm, broker, ("log", "index", "timeindex"))
        compare_damaged(jvm, broker, os.path.join(work, "damaged"))

    def of_kafka():
        with Kafka(os.path.join(work, "kafka-files")) as broker:
            fill_all(broker.bootstrap, transactions=True)
            # While it runs, an index has room in advance: zeros that are no entries.
            for file in files_of(broker.partition_dir("stamped", 0), "index", "timeindex"):
                expect_same(jvm, [file], damaged=True)
        compare_all(jvm, broker, KINDS)
        logs = sorted(glob.glob(os.path.join(broker.data_dir, "__transaction_state-*", "*.log")))
        state = [file for file in logs if os.path.getsize(file)]
        expect(state, "there is no transaction state")
        expect_same(jvm, state[:2], "--print-data-log")

    scenarios.run("sluice dump-log prints what kafka-dump-log prints, of our files and of damaged ones", of_ours)
    scenarios.run("sluice dump-log prints what kafka-dump-log prints, of Kafka's files", of_kafka)
