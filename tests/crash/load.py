"""Load that outlives its broker: producers that note what was acknowledged, readers that note what they were shown."""

import threading
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

from checks import PARTITIONS
from program import value_of

# How long a client goes on by itself while its broker is away.
PATIENCE_MS = 300_000


class Load(threading.Thread):
    """One producer on one topic: records 0, 1, 2… at a steady rate, in partition n mod 3."""

    def __init__(self, bootstrap, topic, rate, idempotent):
        super().__init__(name=f"load on {topic}", daemon=True)
        self.topic, self.rate, self.idempotent = topic, rate, idempotent
        self.acks = {}  # number → (partition, offset)
        self.sent_ms = {}
        self.failed = {}
        self.stopping = threading.Event()
        self.producer = Producer({
            "bootstrap.servers": bootstrap, "enable.idempotence": idempotent, "acks": "all", "linger.ms": 2,
            "message.timeout.ms": PATIENCE_MS, "reconnect.backoff.max.ms": 200, "log_level": 0,
        })

    def run(self):
        started, number = time.monotonic(), 0
        while not self.stopping.is_set():
            if number > (time.monotonic() - started) * self.rate:
                self.producer.poll(0.005)
                continue
            self.sent_ms[number] = time.time() * 1000
            try:
                self.producer.produce(
                    self.topic, key=str(number), value=value_of(number), partition=number % PARTITIONS,
                    on_delivery=lambda error, message, n=number: self.delivered(n, error, message),
                )
            except BufferError:
                self.producer.poll(0.05)
                continue
            number += 1
        left = self.producer.flush(PATIENCE_MS / 1000)
        if left:
            self.failed[number] = f"{left} records were left unsent"

    def delivered(self, number, error, message):
        if error is None:
            self.acks[number] = (message.partition(), message.offset())
        else:
            self.failed[number] = str(error)

    def finish(self):
        self.stopping.set()
        self.join(PATIENCE_MS / 1000)

    def story(self):
        return f"{self.name}: {len(self.acks)} acknowledged, {len(self.failed)} failed {list(self.failed.items())[:3]}"


class Watch(threading.Thread):
    """One reader of one topic from its beginning, across all crashes: what it was shown, and when."""

    def __init__(self, bootstrap, topic):
        super().__init__(name=f"reader of {topic}", daemon=True)
        self.topic = topic
        self.shown = {}  # (partition, offset) → key
        self.seen_ms = {}  # number → when it came first
        self.troubles = []
        self.stopping = threading.Event()
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": f"watch-{topic}", "enable.auto.commit": False,
            "auto.offset.reset": "error", "reconnect.backoff.max.ms": 200, "log_level": 0,
        })

    def run(self):
        self.consumer.assign([TopicPartition(self.topic, p, OFFSET_BEGINNING) for p in range(PARTITIONS)])
        while not self.stopping.is_set():
            message = self.consumer.poll(0.1)
            if message is None:
                continue
            if message.error():
                # What the log no longer has, or has otherwise, is what this test looks for; a broker that is away is not.
                if message.error().code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION, KafkaError.OFFSET_OUT_OF_RANGE):
                    self.troubles.append(str(message.error()))
                continue
            place, key = (message.partition(), message.offset()), message.key().decode()
            if self.shown.setdefault(place, key) != key:
                self.troubles.append(f"{place} was {self.shown[place]} and became {key}")
            self.seen_ms.setdefault(int(key), time.time() * 1000)
        self.consumer.close()

    def finish(self):
        self.stopping.set()
        self.join(30)
