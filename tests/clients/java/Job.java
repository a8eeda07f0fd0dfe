import java.io.FileOutputStream;
import java.io.FileDescriptor;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/** A running command: its lines on the real standard output, and the wish that it ends. */
final class Job {
    private static final PrintStream OUT =
        new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);
    private static final long FLUSH_MS = 5;

    static {
        Thread flusher = new Thread(() -> {
            while (true) {
                OUT.flush();
                try {
                    Thread.sleep(FLUSH_MS);
                } catch (InterruptedException e) {
                    return;
                }
            }
        }, "flusher");
        flusher.setDaemon(true);
        flusher.start();
    }

    final String id;
    private volatile boolean stopped;
    private volatile Runnable onStop = () -> { };

    Job(String id) {
        this.id = id;
    }

    void run(Main.Action action, String[] arguments) {
        int code = 0;
        try {
            action.run(this, arguments);
        } catch (Tools.Ended ended) {
            code = ended.code;
        } catch (Throwable error) {
            code = 1;
            emit("{\"note\":" + quoted(error.toString()) + "}");
            error.printStackTrace();
        }
        emit("{\"exit\":" + code + "}");
        OUT.flush();
    }

    void emit(String json) {
        OUT.println(id + "\t" + json);
    }

    void stop() {
        stopped = true;
        onStop.run();
    }

    boolean isStopped() {
        return stopped;
    }

    /** What `stop` calls besides raising the flag; at once if it has been raised. */
    void onStop(Runnable action) {
        onStop = action;
        if (stopped) {
            action.run();
        }
    }

    /** `key=value` arguments. */
    static Map<String, String> options(String[] arguments) {
        Map<String, String> options = new HashMap<>();
        for (String argument : arguments) {
            int at = argument.indexOf('=');
            options.put(argument.substring(0, at), argument.substring(at + 1));
        }
        return options;
    }

    static String quoted(String text) {
        StringBuilder json = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                json.append('\\').append(c);
            } else if (c < ' ') {
                json.append(String.format("\\u%04x", (int) c));
            } else {
                json.append(c);
            }
        }
        return json.append('"').toString();
    }
}
