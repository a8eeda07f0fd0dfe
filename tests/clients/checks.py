"""What must be true of what the clients told: the assertions of the scenarios, once for all clients."""

from collections import Counter, defaultdict

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from scenarios import await_until, expect

PARTITIONS = 3


def by_partition(records):
    """Records of each partition, in the order given."""
    partitions = defaultdict(list)
    for record in records:
        partitions[record[0]].append(record)
    return partitions


def expect_acknowledged(job, numbers):
    """Every record was acknowledged, and the offsets told are each partition's next ones in order."""
    expect(not job.failed, f"{job.name}: records were given up: {job.story()}")
    missing = set(numbers) - job.acks.keys()
    expect(not missing, f"{job.name}: {len(missing)} records were not acknowledged, such as {sorted(missing)[:5]}; {job.story()}")
    told = sorted((partition, offset, number) for number, (partition, offset) in job.acks.items() if offset is not None)
    for partition, acks in by_partition(told).items():
        offsets, ordered = [a[1] for a in acks], [a[2] for a in acks]
        expect(offsets == list(range(offsets[0], offsets[0] + len(acks))), f"{job.name}: holes in the offsets told for partition {partition}")
        expect(ordered == sorted(ordered), f"{job.name}: offsets told for partition {partition} are not in the order of sending")


def expect_exactly(what, records, numbers):
    """These records once each: whole, in order in their partition, without a hole in the offsets."""
    counts = Counter(int(key) for _, _, key, _ in records)
    missing, doubled = set(numbers) - counts.keys(), [n for n, count in counts.items() if count > 1]
    strange = counts.keys() - set(numbers)
    expect(not missing, f"{what}: {len(missing)} records are missing, such as {sorted(missing)[:5]}")
    expect(not doubled, f"{what}: {len(doubled)} records came more than once, such as {sorted(doubled)[:5]}")
    expect(not strange, f"{what}: {len(strange)} records are not of this test, such as {sorted(strange)[:5]}")
    expect_whole(what, records)
    for partition, theirs in by_partition(records).items():
        offsets = [r[1] for r in theirs]
        expect(offsets == list(range(offsets[0], offsets[0] + len(theirs))), f"{what}: offsets of partition {partition} are not one after the other")
        order = [int(r[2]) for r in theirs]
        expect(order == sorted(order), f"{what}: partition {partition} is not in the order of sending")


def expect_whole(what, records):
    for _, offset, key, value in records:
        expect(value.startswith(f"{key} sluice"), f"{what}: the value at offset {offset} is not that of key {key}: {value[:40]}")


def expect_kept(what, job, records, once):
    """After a crash: every acknowledged record is where its acknowledgement said; and, if promised, each is there once."""
    expect_whole(what, records)
    at = {(partition, offset): int(key) for partition, offset, key, _ in records}
    there = Counter(int(key) for _, _, key, _ in records)
    for number, (partition, offset) in job.acks.items():
        expect(there[number] > 0, f"{what}: record {number} was acknowledged (partition {partition}, offset {offset}) and is gone")
        if offset is not None:
            expect(at.get((partition, offset)) == number, f"{what}: record {number} was acknowledged at {partition}/{offset}, where {at.get((partition, offset))} is")
    if once:
        doubled = [n for n, count in there.items() if count > 1]
        expect(not doubled, f"{what}: {len(doubled)} records are there more than once, such as {sorted(doubled)[:5]}")
        for partition, theirs in by_partition(records).items():
            order = [int(r[2]) for r in theirs]
            expect(order == sorted(order), f"{what}: partition {partition} is not in the order of sending")


def read_all(bootstrap, topic):
    """All records of a topic, read without a group."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "enable.auto.commit": False, "auto.offset.reset": "error"})
    records = []
    try:
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        ends = {p: ends_of(consumer, topic, p) for p in partitions}
        waiting = {p for p, (low, high) in ends.items() if high > low}
        consumer.assign([TopicPartition(topic, p, ends[p][0]) for p in sorted(waiting)])
        while waiting:
            message = consumer.poll(30)
            expect(message is not None, f"reading {topic}: nothing for 30 s before the end of partitions {waiting}")
            expect(message.error() is None, f"reading {topic}: {message.error()}")
            records.append((message.partition(), message.offset(), (message.key() or b"").decode(), (message.value() or b"").decode()))
            if message.offset() + 1 >= ends[message.partition()][1]:
                waiting.discard(message.partition())
    finally:
        consumer.close()
    return records


def make_topics(bootstrap, topics):
    """Topics with these configs."""
    wishes = [NewTopic(name, PARTITIONS, 1, config=configs) for name, configs in topics.items()]
    # Named, so that it lives until the last answer.
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for made in admin.create_topics(wishes, request_timeout=30).values():
        made.result()


def timestamp_kinds(bootstrap, topic):
    """What the first record of each partition says of its timestamp: a client's, or the broker's."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "enable.auto.commit": False})
    kinds = set()
    try:
        for partition in range(PARTITIONS):
            consumer.assign([TopicPartition(topic, partition, 0)])
            message = consumer.poll(30)
            expect(message is not None and message.error() is None, f"reading {topic}-{partition}: {message and message.error()}")
            kinds.add(message.timestamp()[0])
    finally:
        consumer.close()
    return kinds


def ends_of(consumer, topic, partition):
    """The first and the next offset of a partition; a broker that has just started may need a moment."""
    def ask():
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
        except KafkaException as error:
            if error.args[0].retriable() or error.args[0].code() == KafkaError.NOT_LEADER_FOR_PARTITION:
                return None
            raise

    return await_until(ask, f"{topic}-{partition} tells its ends", 60)


def delete_first_half(bootstrap, topic):
    """What retention does: the first half of each partition is gone; returns the first offset that is left."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader"})
    try:
        firsts = {p: sum(ends_of(consumer, topic, p)) // 2 for p in range(PARTITIONS)}
    finally:
        consumer.close()
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for deleted in admin.delete_records([TopicPartition(topic, p, first) for p, first in firsts.items()]).values():
        deleted.result()
    return firsts


def members(bootstrap, group):
    """The partitions of each member of a group that is stable; empty while it is not."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})
    described = admin.describe_consumer_groups([group], request_timeout=10)[group].result()
    if described.state.name != "STABLE":
        return {}
    return {m.member_id: {tp.partition for tp in m.assignment.topic_partitions} for m in described.members}


def committed(bootstrap, group, topic):
    """The committed offset of each partition of a topic."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    try:
        asked = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        return {tp.partition: tp.offset for tp in consumer.committed(asked, timeout=30)}
    finally:
        consumer.close()
