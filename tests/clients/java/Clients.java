import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** The Java producer and consumer as clients of the scenarios (see ../README.md). */
final class Clients {
    static final int PARTITIONS = 3;
    private static final int BURSTS_A_SECOND = 100;

    private Clients() { }

    static void produce(Job job, String[] arguments) throws InterruptedException {
        Map<String, String> options = Job.options(arguments);
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", options.get("bootstrap"));
        settings.put("compression.type", options.getOrDefault("codec", "none"));
        settings.put("enable.idempotence", options.getOrDefault("idempotent", "true"));
        settings.put("acks", "all");
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            numbers(options, n -> producer.send(
                new ProducerRecord<>(options.get("topic"), n % PARTITIONS, Integer.toString(n), value(n)),
                (metadata, error) -> {
                    if (error == null) {
                        job.emit("{\"ack\":" + n + ",\"p\":" + metadata.partition() + ",\"o\":" + metadata.offset() + "}");
                    } else {
                        job.emit("{\"failed\":" + n + ",\"error\":" + Job.quoted(error.toString()) + "}");
                    }
                }));
            producer.flush();
        }
        job.emit("{\"done\":true}");
    }

    /** Calls `send` for every number, at `rate` a second where one is asked for, in bursts of 10 ms. */
    static void numbers(Map<String, String> options, IntConsumer send) throws InterruptedException {
        int first = Integer.parseInt(options.get("first"));
        int count = Integer.parseInt(options.get("count"));
        int rate = Integer.parseInt(options.getOrDefault("rate", "0"));
        long started = System.nanoTime();
        for (int done = 0; done < count; done++) {
            if (rate > 0 && done % Math.max(1, rate / BURSTS_A_SECOND) == 0) {
                long ahead = done * 1_000L / rate - (System.nanoTime() - started) / 1_000_000;
                if (ahead > 0) {
                    Thread.sleep(ahead);
                }
            }
            send.accept(first + done);
        }
    }

    static String value(int number) {
        return number + " " + "sluice ".repeat(12);
    }

    static void consume(Job job, String[] arguments) {
        Map<String, String> options = Job.options(arguments);
        int wanted = Integer.parseInt(options.getOrDefault("count", "0"));
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", options.get("bootstrap"));
        settings.put("group.id", options.get("group"));
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", false);
        if (wanted > 0) {
            settings.put("max.poll.records", Math.min(wanted, 500));
        }
        int delivered = 0;
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(options.get("topic")), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
                    commit(job, consumer);
                }

                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> assigned) { }
            });
            while (!job.isStopped() && (wanted == 0 || delivered < wanted)) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                    TopicPartition partition = new TopicPartition(record.topic(), record.partition());
                    if (wanted > 0 && delivered == wanted) {
                        // Polled, but not delivered: what is committed is the position.
                        consumer.seek(partition, Math.min(consumer.position(partition), record.offset()));
                        continue;
                    }
                    job.emit("{\"p\":" + record.partition() + ",\"o\":" + record.offset() + ",\"k\":"
                        + Job.quoted(record.key()) + ",\"v\":" + Job.quoted(record.value()) + "}");
                    delivered++;
                }
            }
            commit(job, consumer);
        }
        job.emit("{\"done\":true}");
    }

    private static void commit(Job job, KafkaConsumer<String, String> consumer) {
        try {
            consumer.commitSync();
        } catch (KafkaException e) {
            job.emit("{\"note\":" + Job.quoted("commit: " + e) + "}");
        }
    }
}
