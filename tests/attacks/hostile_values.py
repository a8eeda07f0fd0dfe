"""Values for every field of Kafka's messages, as a client that lies would choose them: out of the schema and a die.

Most fields of a message stay plausible, or nothing would come past the first check; a few lie: counts far above what
follows, negative lengths, nulls where none may be, names again and again, numbers at their bounds, tagged fields nobody knows.
"""

import random

import batches_made
from kafka_schema import NOT_EVER, Claimed, Raw, Repeated, schema, within

TOPICS = [f"fuzz-{letter}" for letter in "abcdefgh"] + ["fuzz-a.delay.100ms", "fuzz-b.delay.1h", "__consumer_offsets", "fuzz.dead-letter"]
GROUPS = [f"fuzz-group-{number}" for number in range(12)]
ODD_TEXTS = [
    "", ".", "..", "a/b", "\0", "é" * 50, "x" * 249, "x" * 250, "x" * 5_000, "__sluice_x", "'", '"', "%00", "\n",
    "fuzz.delay.0s", "fuzz.delay.99999999d", "fuzz.delay.5x",
]
WORDS = [
    "range", "roundrobin", "consumer", "connect", "compact", "delete", "records", "0", "-1", "1000",
    "cleanup.policy", "retention.ms", "segment.bytes", "sluice.validate", "index.interval.bytes", "max.message.bytes",
]
# What a friendly client could say, where the type alone does not tell.
PLAUSIBLE = {
    "Acks": [-1, 1, 0],
    "CommittedOffset": [0, 5, -1, -2],
    "ConfigOperation": [0, 1, 2, 3],
    "CurrentLeaderEpoch": [-1, -1, 0, 1],
    "FetchOffset": [0, 1, 5, 1_000, -1],
    "GenerationId": [-1, 0, 1, 2],
    "GenerationIdOrMemberEpoch": [-1, 1],
    "IsolationLevel": [0, 1],
    "KeyType": [0, 0, 1, 2],
    "MaxBytes": [0, 1, 65_536, 1 << 20, 0x7FFFFFFF],
    "MaxWaitMs": [0, 10, 500],
    "MinBytes": [0, 1, 1_000_000],
    "Offset": [0, 1, -1],
    "PartitionMaxBytes": [0, 1, 4_096, 1 << 20],
    "ProducerEpoch": [-1, 0, 1],
    "ProducerId": [-1, 0, 1],
    "RebalanceTimeoutMs": [0, 10, 5_000, 60_000],
    "ReplicaId": [-1],
    "ReplicationFactor": [1, -1, 1, 3],
    "ResourceType": [2, 4, 2, 8, 16],
    "ResponsePartitionLimit": [0, 1, 2_000],
    "SessionEpoch": [-1, 0, 1],
    "SessionId": [0],
    "SessionTimeoutMs": [6_000, 10_000, 1_800_000],
    "TimeoutMs": [0, 100, 5_000],
    "Timestamp": [-1, -2, -3, -4, -5, 1_700_000_000_000, 0],
    "TransactionTimeoutMs": [1_000, 60_000],
    "timeoutMs": [0, 1_000],
}
BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}
# What a lie costs here must stay small: the fuzzer looks for what is large over there.
REPEATED_MAX = 3_000
# Partitions are made for good; a file limit is another attack's subject.
PARTITIONS_MAX = 12


class Liar:
    def __init__(self, seed, lies=None):
        self.dice = random.Random(seed)
        # How many fields of a hundred lie.
        self.lies = self.dice.choice([0, 1, 5, 20]) if lies is None else lies
        # What the broker has said before: member ids, producer ids, topic ids, sessions.
        self.learnt = {}

    def is_lie(self):
        return self.dice.random() * 100 < self.lies

    def number(self, field):
        name, dice = field.name, self.dice
        if field.type == "bool":
            return dice.random() < 0.5
        if field.type == "float64":
            return dice.choice([0.0, float("nan"), float("inf"), 1.5])
        signed = field.type in BITS
        bits = BITS.get(field.type) or int(field.type.removeprefix("uint"))
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        if name in ("NumPartitions", "Count"):
            return dice.choice([1, 2, PARTITIONS_MAX, -1, 0, 10_001, high, low])
        if self.is_lie():
            return dice.choice([low, high, low + 1, high - 1, 0, -1 if signed else 1, dice.randint(low, high)])
        if name in self.learnt and dice.random() < 0.8:
            return max(low, min(high, self.learnt[name]))
        plausible = PLAUSIBLE.get(name)
        return dice.choice(plausible) if plausible else dice.choice([0, 0, 1, 2, 3, -1 if signed else 4])

    def text(self, field):
        name, dice = field.name, self.dice
        if self.is_lie():
            claimed = Claimed(dice.choice([-1, -2, 5, 0x7FFF, 0x7FFFFFFF]))
            return dice.choice([claimed, Claimed(3, b"\xff\xfe\xfd"), dice.choice(ODD_TEXTS), "y" * dice.choice([30_000, 32_767])])
        if name in self.learnt and dice.random() < 0.8:
            return self.learnt[name]
        lowered = name.lower()
        if "group" in lowered and "instance" not in lowered or name == "Key":
            return dice.choice(GROUPS)
        if "topic" in lowered or name in ("Name", "ResourceName"):
            return dice.choice(TOPICS if dice.random() < 0.85 else WORDS)
        return dice.choice(WORDS + ["", "1", "fuzz"])

    def content(self, field):
        if self.is_lie():
            return self.dice.choice([Claimed(self.dice.choice([-2, 10, 0x7FFFFFFF])), self.dice.randbytes(50), b""])
        if field.type == "records":
            return self.records()
        return bytes(self.dice.choice([0, 3, 100, 20_000]))

    def records(self):
        """Record batches: good ones, some with a producer, some that open large, some with a byte that is not right."""
        dice, made = self.dice, batches_made
        kind = dice.randrange(8)
        if kind < 3:
            producer = made.NO_PRODUCER
            if dice.random() < 0.5:
                producer = (self.learnt.get("ProducerId", dice.randrange(5)), dice.choice([0, 0, 1, -1]), dice.choice([0, 1, 2, 5, 0x7FFFFFFF]))
            batch = made.plain([bytes(dice.choice([0, 10, 1_000])) for _ in range(dice.randint(1, 20))], producer)
        elif kind == 3:
            batch = made.zeros(dice.randint(1, 5), dice.choice([10, 100_000, 2_000_000]), codec=dice.choice(["zstd", "gzip"]))
        elif kind == 4:
            batch = made.empty_headers(dice.randint(1, 20), dice.choice([0, 10, 5_000]))
        elif kind == 5:
            batch = made.tiny_records(dice.choice([1, 100, 20_000]))
        elif kind == 6:
            records = b"".join(made.record(n) for n in range(3))
            batch = made.batch(records, dice.choice([0, -1, 2, 4, 0x7FFFFFFF]), time_ms=dice.choice([-1, 0, 2**63 - 1]))
        else:
            batch = made.batch(dice.randbytes(dice.randrange(200)), dice.randint(1, 9), codec=dice.choice(["none", "zstd", "gzip"]))
        if self.is_lie():
            batch = bytearray(batch)
            batch[dice.randrange(len(batch))] ^= 1 << dice.randrange(8)
            batch = bytes(batch)
        return batch * dice.choice([1, 1, 1, 2])

    def value(self, field, version, depth=0, is_element=False):
        dice = self.dice
        if field.array and not is_element:
            return self.array(field, version, depth)
        nullable = field.nullable != NOT_EVER and within(field.nullable, version)
        if nullable and not is_element and dice.random() < 0.2:
            return None
        if field.fields is not None:
            return self.body(field.fields, version, depth + 1)
        if field.type == "string":
            return self.text(field)
        if field.type in ("bytes", "records"):
            return self.content(field)
        if field.type == "uuid":
            return self.learnt.get("TopicId") or dice.choice([bytes(16), bytes(range(16))])
        return self.number(field)

    def array(self, field, version, depth):
        dice = self.dice
        if self.is_lie():
            return dice.choice([
                Claimed(dice.choice([-2, 1_000, 200_001, 0x7FFFFFFF, 0xFFFFFFFE - 1])), None, Raw(self.dice.randbytes(5)),
                Repeated(self.value(field, version, depth, is_element=True), dice.randint(1, REPEATED_MAX if depth < 2 else 50)),
            ])
        if within(field.nullable, version) and dice.random() < 0.2:
            return None
        one = self.value(field, version, depth, is_element=True)
        more = [self.value(field, version, depth, is_element=True) for _ in range(dice.choice([0, 0, 1, 3]))]
        return [] if dice.random() < 0.1 else [one, *more, *([one] if dice.random() < 0.2 else [])]

    def body(self, fields, version, depth=0):
        body = {field.name: self.value(field, version, depth) for field in fields if within(field.versions, version)}
        if self.is_lie():
            numbers = [self.dice.choice([0, 1, 2, 77, 0xFFFFFFF]) for _ in range(self.dice.randint(1, 4))]
            body["_tags"] = {number: self.dice.randbytes(self.dice.randrange(40)) for number in numbers}
        return body

    def request(self, api, version, **given):
        message = schema().requests[schema().keys[api]]
        return self.body(message.fields, version) | given

    def frame(self, api, version, body, correlation):
        """Encoded; some frames are then bent, cut or lengthened."""
        dice = self.dice
        client = dice.choice(["fuzz", "", "c" * 200]) if not self.is_lie() else dice.choice(["c" * 30_000, Claimed(-5), "\0"])
        data = bytearray(schema().frame(api, version, body, correlation, client))
        if self.is_lie():
            kind = dice.randrange(4)
            if kind == 0:
                data[dice.randrange(4, len(data))] ^= 1 << dice.randrange(8)
            elif kind == 1:
                data = data[: dice.randrange(1, len(data))]
            elif kind == 2:
                data += dice.randbytes(dice.randrange(30))
                data[:4] = (len(data) - 4).to_bytes(4, "big")
            else:
                data[:4] = dice.choice([0, 3, 0x7FFFFFFF, 0xFFFFFFFF, 104_857_600, 104_857_601]).to_bytes(4, "big")
        return bytes(data)
