"""confluent-kafka, the Python face of librdkafka, as one of the clients (see ../README.md)."""

from confluent_kafka import Consumer, KafkaError, Producer

from program import PARTITIONS, arguments, emit, numbers, stop_event, value_of


def produce(options):
    producer = Producer({
        "bootstrap.servers": options["bootstrap"],
        "compression.type": options.get("codec", "none"),
        "enable.idempotence": options.get("idempotent", "false"),
        "acks": "all",
        "linger.ms": 5,
    })

    def delivered(number):
        def report(error, message):
            if error is None:
                emit(ack=number, p=message.partition(), o=message.offset())
            else:
                emit(failed=number, error=str(error))
        return report

    for number in numbers(options):
        producer.produce(
            options["topic"], key=str(number), value=value_of(number), partition=number % PARTITIONS, on_delivery=delivered(number),
        )
        producer.poll(0)
    producer.flush()
    emit(done=True)


def consume(options):
    stop, wanted, delivered = stop_event(), int(options.get("count", "0")), 0
    consumer = Consumer({
        "bootstrap.servers": options["bootstrap"],
        "group.id": options["group"],
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "enable.auto.offset.store": True,
    })

    def commit(*_):
        try:
            consumer.commit(asynchronous=False)
        except Exception as error:  # noqa: BLE001: nothing to commit, or the broker is down: the next commit covers it
            if getattr(error.args[0], "code", lambda: None)() != KafkaError._NO_OFFSET:
                emit(note=f"commit: {error}")

    consumer.subscribe([options["topic"]], on_revoke=commit)
    while not stop.is_set() and not (wanted and delivered == wanted):
        message = consumer.poll(0.1)
        if message is None:
            continue
        if message.error():
            emit(note=str(message.error()))
            continue
        emit(p=message.partition(), o=message.offset(), k=message.key().decode(), v=message.value().decode())
        delivered += 1
    commit()
    consumer.close()
    emit(done=True)


if __name__ == "__main__":
    action, options = arguments()
    {"produce": produce, "consume": consume}[action](options)
