import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * One warm JVM for all of Java's clients and Kafka's tools: a start costs more than most scenarios. Reads commands from
 * standard input, a line each, fields between tabs: `ID ACTION ARGUMENT...`. Each runs in a thread of its own and
 * answers with lines `ID JSON`; the last is `ID {"exit":code}`. `ID stop` tells a running command to end.
 */
public final class Main {
    /** A command's way to hear that it should end, and to be heard. */
    interface Action {
        void run(Job job, String[] arguments) throws Exception;
    }

    private static final Map<String, Action> ACTIONS = Map.of(
        "produce", Clients::produce,
        "consume", Clients::consume,
        "console-produce", Console::produce,
        "console-consume", Console::consume,
        "tool", Tools::run);

    public static void main(String[] ignored) throws IOException {
        Tools.install();
        var jobs = new ConcurrentHashMap<String, Job>();
        var commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] fields = line.split("\t");
            if (fields[1].equals("stop")) {
                Job job = jobs.get(fields[0]);
                if (job != null) {
                    job.stop();
                }
                continue;
            }
            Job job = new Job(fields[0]);
            jobs.put(fields[0], job);
            Thread thread = new Thread(() -> {
                job.run(ACTIONS.get(fields[1]), Arrays.copyOfRange(fields, 2, fields.length));
                jobs.remove(job.id);
            }, fields[1] + "-" + fields[0]);
            thread.setDaemon(true);
            thread.start();
        }
        // Some tools leave threads behind that are no daemons.
        Runtime.getRuntime().halt(0);
    }
}
