"""Fills the disk under a running broker: producers are told, readers go on, and when there is room again so does everything.

    tests/crash/full.py

The data directory is a small file system of its own: a tmpfs in a mount namespace that a process of this test holds, so
that the broker can be killed and started again on it. Where mounting is not permitted (an ordinary container), a limit on
the size of files stands in for it (RLIMIT_FSIZE, SIGXFSZ ignored): writes then fail with EFBIG instead of ENOSPC.
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

from batches import HEADER
from broker import Sluice, new_broker
from checks import expect_kept, read_all
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from load import Load, Watch
from scenarios import Scenarios, await_until, expect

SIZE_MB = 24
# What is left for the test to fill: some segments of the smallest size.
ROOM_MB = 6
SEGMENT_BYTES = 128 * 1024
TOPIC, BULK, TARGET, PROXY = "full-once", "full-bulk", "full-late", "full-late.delay.1s"
STORAGE_ERROR = KafkaError.KAFKA_STORAGE_ERROR


class SmallDisk:
    """A tmpfs that lives as long as this object; the broker enters its namespace."""

    def __init__(self, path):
        self.path = path
        os.makedirs(path, exist_ok=True)
        namespaces = ["--mount"] if os.getuid() == 0 else ["--user", "--map-root-user", "--mount"]
        script = f"mount -t tmpfs -o size={SIZE_MB}m tmpfs '{path}' && echo ready && exec cat"
        self.holder = subprocess.Popen(
            ["unshare", *namespaces, "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        if self.holder.stdout.readline().strip() != b"ready":
            raise PermissionError(self.holder.stderr.read().decode().strip())
        enter = ["--mount"] if os.getuid() == 0 else ["--user", "--preserve-credentials", "--mount"]
        self.prefix = ["nsenter", "--target", str(self.holder.pid), *enter]
        self.name = f"a tmpfs of {SIZE_MB} MB"

    def inside(self, path):
        """How this process reaches a file there."""
        return f"/proc/{self.holder.pid}/root{path}"

    def prepare(self):
        with open(self.inside(f"{self.path}/ballast"), "wb") as ballast:
            ballast.write(bytes((SIZE_MB - ROOM_MB) << 20))

    def fill(self, _process):
        """Takes the last page: what is left after a large write failed is room for small ones."""
        with open(self.inside(f"{self.path}/rest"), "ab", buffering=0) as rest:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while True:
                        rest.write(bytes(size))
                except OSError:
                    continue

    def make_room(self, _process):
        for name in ("rest", "ballast"):
            os.unlink(self.inside(f"{self.path}/{name}"))

    def limit_child(self):
        """Nothing: the file system is the limit."""

    def close(self):
        self.holder.stdin.close()
        self.holder.wait(10)


class SmallFiles:
    """No file may grow beyond half a segment."""

    prefix = ()
    name = "a limit on the size of files (mounting is not permitted here)"

    def __init__(self, path):
        self.path = path

    def inside(self, path):
        return path

    def prepare(self):
        """Nothing to prepare."""

    def limit_child(self):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (SEGMENT_BYTES // 2, resource.RLIM_INFINITY))

    def fill(self, process):
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def make_room(self, process):
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def close(self):
        """Nothing to close."""


class OnSmallDisk(Sluice):
    def __init__(self, work):
        super().__init__(work)
        path = os.path.join(self.work, "small")
        try:
            self.disk = SmallDisk(path)
        except (OSError, PermissionError) as refused:
            print(f"no mount here: {refused}", flush=True)
            self.disk = SmallFiles(path)
        self.data_dir = os.path.join(path, "data")
        self.disk.prepare()

    def spawn(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*self.disk.prefix, *self.command()], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.work,
                env=self.environment(), preexec_fn=self.disk.limit_child,
            )


class Commits(threading.Thread):
    """Commits rising offsets for one group, and notes the last that was answered."""

    def __init__(self, bootstrap):
        super().__init__(name="commits", daemon=True)
        self.consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "full-group", "enable.auto.commit": False, "log_level": 0})
        self.last, self.failed, self.stopping = -1, 0, threading.Event()

    def run(self):
        offset = 0
        while not self.stopping.is_set():
            try:
                self.consumer.commit(offsets=[TopicPartition(TOPIC, 0, offset)], asynchronous=False)
                self.last = offset
            except KafkaException:
                self.failed += 1
            offset += 1
            self.stopping.wait(0.02)

    def told(self):
        return self.consumer.committed([TopicPartition(TOPIC, 0)], timeout=30)[0].offset

    def finish(self):
        self.stopping.set()
        self.join(60)


class Full:
    def __init__(self, broker):
        self.broker = broker
        self.pid = broker.process.pid
        self.admin = AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0})
        small = {"segment.bytes": str(SEGMENT_BYTES), "index.interval.bytes": "512"}
        self.create([NewTopic(name, 3, 1, config=small) for name in (TOPIC, BULK, TARGET)] + [NewTopic(PROXY, 3, 1)])
        self.loads = [Load(broker.bootstrap, TOPIC, 400, True), Load(broker.bootstrap, PROXY, 100, True)]
        self.watch = Watch(broker.bootstrap, TOPIC)
        self.commits = Commits(broker.bootstrap)
        self.topics_made = []

    def create(self, topics):
        for name, made in self.admin.create_topics(topics, request_timeout=20).items():
            made.result()

    def probe(self, size):
        """One record of so many bytes without a second try: the error's code, None when it was taken."""
        codes = []
        producer = Producer({"bootstrap.servers": self.broker.bootstrap, "retries": 0, "linger.ms": 0, "log_level": 0})
        producer.produce(BULK, key="probe", value=os.urandom(size), partition=0, on_delivery=lambda error, _: codes.append(error and error.code()))
        expect(producer.flush(30) == 0, "the probe is answered")
        return codes[0]

    def http_status(self, path, body=None):
        headers = {"Content-Type": "application/vnd.kafka.binary.v2+json"} if body else {}
        request = urllib.request.Request(self.broker.http + path, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def fills(self):
        for thread in [*self.loads, self.watch, self.commits]:
            thread.start()
        await_until(lambda: all(load.acks for load in self.loads) and self.commits.last > 0, "everything is under way")
        codes = []
        for number in range(2_000):
            codes.append(self.probe(50_000))
            if codes[-1] is not None:
                break
        expect(codes[-1] == STORAGE_ERROR, f"a full disk is told as KAFKA_STORAGE_ERROR, not {codes[-1]} after {len(codes)} records")
        print(f"full after {len(codes)} large records, on {self.broker.disk.name}", flush=True)
        self.broker.disk.fill(self.broker.process)
        await_until(lambda: self.probe(10) == STORAGE_ERROR, "small records are refused as well")

    def goes_on_reading(self):
        """Everything stands still at what it has, and can be read."""
        await_until(lambda: self.probe(10_000) == STORAGE_ERROR, "still full")
        body = json.dumps({"records": [{"value": "eA==", "partition": 0}]}).encode()
        await_until(lambda: self.http_status(f"/topics/{BULK}", body) == 503, "HTTP answers 503")
        failed = self.commits.failed
        await_until(lambda: self.commits.failed > failed, "offsets cannot be committed")
        try:
            self.create([NewTopic("full-new", 3, 1)])
            raise AssertionError("a topic is made on a full disk")
        except KafkaException as refused:
            expect(refused.args[0].code() == STORAGE_ERROR, f"a topic that cannot be made: {refused}")
        expect(self.http_status("/health/live") == 200, "the broker lives")
        for load in self.loads[:1]:
            expect_kept(f"{load.topic} while the disk is full", load, read_all(self.broker.bootstrap, load.topic), once=True)
        expect(not self.watch.troubles, f"the reader: {self.watch.troubles[:3]}")
        expect(self.commits.told() >= self.commits.last, "the last committed offset that was answered is told")
        self.files_are_whole()

    def files_are_whole(self):
        """No half batch is left at the end of any log."""
        data = self.broker.disk.inside(self.broker.data_dir)
        for folder in sorted(os.listdir(data)):
            if not os.path.isdir(os.path.join(data, folder)) or not folder.startswith("full-bulk"):
                continue
            for name in sorted(n for n in os.listdir(os.path.join(data, folder)) if n.endswith(".log")):
                with open(os.path.join(data, folder, name), "rb") as log:
                    content = log.read()
                at = 0
                while at + HEADER.size <= len(content):
                    at += 12 + HEADER.unpack_from(content, at)[1]
                expect(at == len(content), f"{folder}/{name} has {len(content)} bytes and whole batches up to {at}")

    def starts_again(self):
        """Killed on the full disk: what is there can be read again without one byte of room more."""
        self.broker.kill()
        self.broker.start()
        self.pid = self.broker.process.pid
        self.broker.disk.fill(self.broker.process)
        await_until(lambda: self.probe(10) == STORAGE_ERROR, "the disk is still full")
        self.goes_on_reading()

    def resumes(self):
        counts, answered = [len(load.acks) for load in self.loads], self.commits.last
        self.broker.disk.make_room(self.broker.process)
        await_until(lambda: self.probe(10) is None, "a record is taken again")
        await_until(
            lambda: all(len(load.acks) > count + 50 for load, count in zip(self.loads, counts, strict=True)),
            f"every producer goes on: {[load.story() for load in self.loads]}", 60,
        )
        await_until(lambda: self.commits.last > answered, "offsets are committed again")
        self.create([NewTopic("full-new", 3, 1)])
        expect(self.http_status("/health/ready") == 200, "the broker is ready")
        expect(self.broker.process.poll() is None and self.broker.process.pid == self.pid, "it is the same process")

    def kept(self):
        for load in self.loads:
            load.finish()
            expect(not load.failed, load.story())
        self.commits.finish()
        once, late = self.loads
        print([load.story() for load in self.loads], f"{self.commits.failed} commits failed", flush=True)
        expect_kept(TOPIC, once, read_all(self.broker.bootstrap, TOPIC), once=True)
        numbers = lambda: [int(key) for _, _, key, _ in read_all(self.broker.bootstrap, TARGET)]  # noqa: E731
        await_until(lambda: late.acks.keys() <= set(numbers()), "every delayed record comes", 60)
        came = numbers()
        expect(len(came) == len(set(came)), "no delayed record comes twice")
        self.watch.finish()
        expect(not self.watch.troubles, f"the reader: {self.watch.troubles[:3]}")

    def restarts(self):
        self.broker.kill()
        self.broker.start()
        once = self.loads[0]
        expect_kept(f"{TOPIC} after a kill", once, read_all(self.broker.bootstrap, TOPIC), once=True)
        expect(self.commits.told() == self.commits.last, f"offset {self.commits.last} was answered, {self.commits.told()} is there")


def main():
    scenarios = Scenarios("crash")
    broker = OnSmallDisk(new_broker("full").work)
    try:
        with broker:
            full = Full(broker)
            steps = [
                ("a client produces until the disk is full, and is told KAFKA_STORAGE_ERROR", full.fills),
                ("on a full disk reading goes on, nothing half is left, HTTP says 503", full.goes_on_reading),
                ("with room again everything goes on by itself", full.resumes),
                ("what was acknowledged around a full disk is there once", full.kept),
                ("and after a kill too", full.restarts),
            ]
            # A limit on file sizes refuses to rewrite what is there, as no full disk does.
            if isinstance(broker.disk, SmallDisk):
                steps.insert(2, ("killed on the full disk it starts again and reads on", full.starts_again))
            for name, step in steps:
                if not scenarios.run(name, step, broker):
                    break
    finally:
        broker.disk.close()
        shutil.rmtree(broker.work, ignore_errors=True)
    scenarios.finish()


if __name__ == "__main__":
    main()
