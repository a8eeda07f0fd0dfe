import java.io.PipedInputStream;
import java.io.PipedOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;

/** Kafka's console producer and consumer as clients of the scenarios (see ../README.md). */
final class Console {
    private static final int PIPE_BYTES = 64 * 1024;

    private Console() { }

    /** Feeds lines to the console producer. It tells of no single record: it says what failed, and ends when all is sent. */
    static void produce(Job job, String[] arguments) throws Exception {
        Map<String, String> options = Job.options(arguments);
        List<String> flags = List.of(
            "--bootstrap-server", options.get("bootstrap"),
            "--topic", options.get("topic"),
            "--compression-codec", options.getOrDefault("codec", "none"),
            "--command-property", "enable.idempotence=" + options.getOrDefault("idempotent", "true"),
            "--message-send-max-retries", Integer.toString(Integer.MAX_VALUE),
            "--reader-property", "parse.key=true",
            "--reader-property", "key.separator=:");
        AtomicInteger failed = new AtomicInteger();
        AtomicReference<Exception> feedError = new AtomicReference<>();
        PipedOutputStream pipe = new PipedOutputStream();
        Tools.IN.set(new PipedInputStream(pipe, PIPE_BYTES));
        // The tool sends what is left when the JVM shuts down: here, when it has exited.
        AtomicReference<Runnable> close = new AtomicReference<>(() -> { });
        Tools.HOOK.set(close::set);
        Thread feeder = new Thread(() -> {
            try (pipe) {
                Clients.numbers(options, n -> {
                    try {
                        pipe.write((n + ":" + Clients.value(n) + "\n").getBytes(StandardCharsets.UTF_8));
                        pipe.flush();
                    } catch (java.io.IOException e) {
                        throw new IllegalStateException("the console producer has closed its input", e);
                    }
                    job.emit("{\"progress\":" + n + "}");
                });
            } catch (Exception e) {
                feedError.set(e);
            }
        }, "feeder-" + job.id);
        feeder.start();
        try {
            Tools.call("org.apache.kafka.tools.ConsoleProducer", flags.toArray(String[]::new), line -> { }, line -> {
                if (line.contains("ERROR")) {
                    failed.incrementAndGet();
                }
                job.emit("{\"note\":" + Job.quoted(line) + "}");
            });
        } catch (Tools.Ended end) {
            if (end.code != 0) {
                throw end;
            }
        } finally {
            Tools.IN.remove();
            Tools.HOOK.remove();
        }
        close.get().run();
        feeder.join();
        if (feedError.get() != null) {
            throw feedError.get();
        }
        int first = Integer.parseInt(options.get("first"));
        for (int n = first; failed.get() == 0 && n < first + Integer.parseInt(options.get("count")); n++) {
            job.emit("{\"ack\":" + n + "}");
        }
        job.emit("{\"done\":true}");
    }

    static void consume(Job job, String[] arguments) throws Exception {
        Map<String, String> options = Job.options(arguments);
        List<String> flags = new ArrayList<>(List.of(
            "--bootstrap-server", options.get("bootstrap"),
            "--topic", options.get("topic"),
            "--group", options.get("group"),
            "--command-property", "auto.offset.reset=earliest",
            "--formatter-property", "print.partition=true",
            "--formatter-property", "print.offset=true",
            "--formatter-property", "print.key=true"));
        String wanted = options.getOrDefault("count", "0");
        if (!wanted.equals("0")) {
            flags.addAll(List.of("--max-messages", wanted));
        }
        // The tool waits in its hook for its own end, so the hook gets a thread.
        Tools.HOOK.set(hook -> job.onStop(() -> new Thread(hook, "stop-" + job.id).start()));
        try {
            Tools.call("org.apache.kafka.tools.consumer.ConsoleConsumer", flags.toArray(String[]::new),
                line -> job.emit(record(line)), line -> job.emit("{\"note\":" + Job.quoted(line) + "}"));
        } catch (Tools.Ended end) {
            if (end.code != 0) {
                throw end;
            }
        } finally {
            Tools.HOOK.remove();
        }
        job.emit("{\"done\":true}");
    }

    /** `Partition:0<tab>Offset:17<tab>key<tab>value` as a line of ours. */
    private static String record(String line) {
        String[] fields = line.split("\t", 4);
        return "{\"p\":" + fields[0].substring("Partition:".length()) + ",\"o\":" + fields[1].substring("Offset:".length())
            + ",\"k\":" + Job.quoted(fields[2]) + ",\"v\":" + Job.quoted(fields[3]) + "}";
    }
}
