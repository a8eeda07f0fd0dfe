import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.function.Consumer;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's command line tools inside this JVM: their output becomes lines, their exit an exception. Each run gets its
 * classes anew, because some keep their state in statics.
 */
final class Tools {
    /** A tool called exit. */
    static final class Ended extends RuntimeException {
        private static final long serialVersionUID = 1;
        final int code;

        Ended(int code) {
            this.code = code;
        }
    }

    private static final ThreadLocal<OutputStream> OUT = new InheritableThreadLocal<>();
    private static final ThreadLocal<OutputStream> ERR = new InheritableThreadLocal<>();
    /** The code of the first exit of the tool that this thread runs. */
    private static final ThreadLocal<Integer> CODE = new ThreadLocal<>();
    static final ThreadLocal<InputStream> IN = new InheritableThreadLocal<>();
    /** Whom a shutdown hook that a tool registers is given to. */
    static final ThreadLocal<Consumer<Runnable>> HOOK = new InheritableThreadLocal<>();

    private Tools() { }

    /** Puts streams in place that belong to the thread that uses them, and takes exit away from the tools. */
    static void install() {
        PrintStream realErr = System.err;
        InputStream realIn = System.in;
        System.setOut(new PrintStream(new Dispatch(OUT, realErr), true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(new Dispatch(ERR, realErr), true, StandardCharsets.UTF_8));
        System.setIn(new InputStream() {
            private InputStream current() {
                InputStream in = IN.get();
                return in == null ? realIn : in;
            }

            @Override
            public int read() throws IOException {
                return current().read();
            }

            @Override
            public int read(byte[] bytes, int offset, int length) throws IOException {
                return current().read(bytes, offset, length);
            }
        });
        Exit.setExitProcedure((code, message) -> end(code));
        Exit.setHaltProcedure((code, message) -> end(code));
        Exit.setShutdownHookAdder((name, hook) -> {
            Consumer<Runnable> taker = HOOK.get();
            if (taker != null) {
                taker.accept(hook);
            }
        });
    }

    /** Some tools catch everything, what ends them too, and call exit once more with a code of failure: the first counts. */
    private static void end(int code) {
        if (CODE.get() == null) {
            CODE.set(code);
        }
        throw new Ended(CODE.get());
    }

    /** `CLASS ARGUMENT...`: prints what it prints as `{"out":…}` and `{"err":…}`. */
    static void run(Job job, String[] arguments) throws Exception {
        call(arguments[0], Arrays.copyOfRange(arguments, 1, arguments.length),
            line -> job.emit("{\"out\":" + Job.quoted(line) + "}"), line -> job.emit("{\"err\":" + Job.quoted(line) + "}"));
    }

    static void call(String tool, String[] arguments, Consumer<String> out, Consumer<String> err) throws Exception {
        try (Lines outLines = new Lines(out); Lines errLines = new Lines(err); Fresh classes = new Fresh()) {
            OUT.set(outLines);
            ERR.set(errLines);
            classes.loadClass(tool).getMethod("main", String[].class).invoke(null, (Object) arguments);
        } catch (InvocationTargetException e) {
            if (e.getCause() instanceof Exception cause) {
                throw cause;
            }
            throw e;
        } finally {
            OUT.remove();
            ERR.remove();
            CODE.remove();
        }
    }

    /** Loads the tools' own classes anew; everything below them is shared. */
    private static final class Fresh extends URLClassLoader {
        Fresh() {
            super(toolJars(), Tools.class.getClassLoader());
        }

        private static URL[] toolJars() {
            return Arrays.stream(System.getProperty("java.class.path").split(":"))
                .filter(path -> path.matches(".*/kafka-tools-[0-9].*"))
                .map(path -> {
                    try {
                        return new java.io.File(path).toURI().toURL();
                    } catch (IOException e) {
                        throw new IllegalStateException("a class path holds only files: " + path, e);
                    }
                })
                .toArray(URL[]::new);
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (name.startsWith("org.apache.kafka.tools.")) {
                synchronized (getClassLoadingLock(name)) {
                    Class<?> known = findLoadedClass(name);
                    if (known == null) {
                        try {
                            known = findClass(name);
                        } catch (ClassNotFoundException e) {
                            return super.loadClass(name, resolve);
                        }
                    }
                    return known;
                }
            }
            return super.loadClass(name, resolve);
        }
    }

    /** Writes to the stream of the thread, or to the real one. */
    private static final class Dispatch extends OutputStream {
        private final ThreadLocal<OutputStream> target;
        private final OutputStream real;

        Dispatch(ThreadLocal<OutputStream> target, OutputStream real) {
            this.target = target;
            this.real = real;
        }

        private OutputStream current() {
            OutputStream stream = target.get();
            return stream == null ? real : stream;
        }

        @Override
        public void write(int b) throws IOException {
            current().write(b);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
            current().write(bytes, offset, length);
        }

        @Override
        public void flush() throws IOException {
            current().flush();
        }
    }

    /** Cuts what is written into lines. */
    private static final class Lines extends OutputStream {
        private final Consumer<String> taker;
        private final ByteArrayOutputStream line = new ByteArrayOutputStream();

        Lines(Consumer<String> taker) {
            this.taker = taker;
        }

        @Override
        public synchronized void write(int b) {
            if (b == '\n') {
                taker.accept(line.toString(StandardCharsets.UTF_8));
                line.reset();
            } else {
                line.write(b);
            }
        }

        @Override
        public synchronized void close() {
            if (line.size() > 0) {
                write('\n');
            }
        }
    }
}
