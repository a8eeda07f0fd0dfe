"""kafka-python as one of the clients (see ../README.md)."""

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

from program import PARTITIONS, arguments, emit, numbers, stop_event, value_of


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


class CommitOnRevoke(ConsumerRebalanceListener):
    def __init__(self, consumer):
        self.consumer = consumer

    def on_partitions_revoked(self, revoked):
        commit(self.consumer)

    def on_partitions_assigned(self, assigned):
        pass


def commit(consumer):
    try:
        consumer.commit()
    except KafkaError as error:
        emit(note=f"commit: {error}")


def consume(options):
    stop, wanted, delivered = stop_event(), int(options.get("count", "0")), 0
    consumer = KafkaConsumer(
        bootstrap_servers=options["bootstrap"], group_id=options["group"], auto_offset_reset="earliest",
        enable_auto_commit=False, metadata_max_age_ms=1_000,
    )
    consumer.subscribe([options["topic"]], listener=CommitOnRevoke(consumer))
    while not stop.is_set() and not (wanted and delivered == wanted):
        # No more than is wanted: the position after a poll is what is committed.
        polled = consumer.poll(timeout_ms=100, max_records=wanted - delivered if wanted else None)
        for records in polled.values():
            for record in records:
                emit(p=record.partition, o=record.offset, k=record.key.decode(), v=record.value.decode())
                delivered += 1
    commit(consumer)
    consumer.close()
    emit(done=True)


if __name__ == "__main__":
    action, options = arguments()
    {"produce": produce, "consume": consume}[action](options)
