"""kafka-python as one of the clients (see ../README.md)."""

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaConnectionError, KafkaError

from program import PARTITIONS, arguments, emit, numbers, stop_event, value_of

# A poll that ends while the group is being joined leaves kafka-python 3.0.12 without an assignment for ever, at full speed:
# its time must be longer than a join takes.
POLL_MS = 3_000


def produce(options):
    codec = options.get("codec", "none")
    producer = KafkaProducer(
        bootstrap_servers=options["bootstrap"],
        compression_type=None if codec == "none" else codec,
        enable_idempotence=options.get("idempotent", "true") == "true",
        acks="all",
        linger_ms=5,
    )
    for number in numbers(options):
        future = producer.send(options["topic"], key=str(number).encode(), value=value_of(number).encode(), partition=number % PARTITIONS)
        future.add_callback(lambda record, n=number: emit(ack=n, p=record.partition, o=record.offset))
        future.add_errback(lambda error, n=number: emit(failed=n, error=str(error)))
    producer.flush()
    producer.close()
    emit(done=True)


def commit(consumer):
    try:
        consumer.commit()
    except KafkaError as error:
        emit(note=f"commit: {error}")


def consume(options):
    stop, wanted, delivered = stop_event(), int(options.get("count", "0")), 0
    consumer = KafkaConsumer(
        bootstrap_servers=options["bootstrap"], group_id=options["group"], auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    consumer.subscribe([options["topic"]])
    while not stop.is_set() and not (wanted and delivered == wanted):
        # No more than is wanted: the position after a poll is what is committed.
        try:
            polled = consumer.poll(timeout_ms=POLL_MS, max_records=wanted - delivered if wanted else None)
        except KafkaConnectionError as error:
            emit(note=f"poll: {error}")
            continue
        for records in polled.values():
            for record in records:
                emit(p=record.partition, o=record.offset, k=record.key.decode(), v=record.value.decode())
                delivered += 1
        # After every poll: a rebalance may come with the next one, and its listener must not wait for a commit.
        if polled:
            commit(consumer)
    consumer.close()
    emit(done=True)


if __name__ == "__main__":
    action, options = arguments()
    {"produce": produce, "consume": consume}[action](options)
