package bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** The job in Kafka Streams: the Processor API with a persistent store. */
public final class Main {
    private static final String STORE = "accounts";

    private Main() {}

    public static void main(String[] arguments) throws Exception {
        Job job = new Job(env("BENCH_JOB"));
        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(
                Stores.keyValueStoreBuilder(
                                Stores.persistentKeyValueStore(STORE), Serdes.String(), Account.serde(job.features))
                        .withCachingEnabled());
        builder.stream(List.of(env("BENCH_INPUTS").split(",")), Consumed.with(Serdes.String(), Serdes.ByteArray()))
                .process(() -> new Segmenter(job), STORE)
                .to(env("BENCH_OUTPUT"), Produced.with(Serdes.String(), Serdes.ByteArray()));
        KafkaStreams streams = new KafkaStreams(builder.build(), settings());
        CountDownLatch stopped = new CountDownLatch(1);
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.ERROR || now == KafkaStreams.State.NOT_RUNNING) {
                stopped.countDown();
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
        stopped.await();
    }

    private static Properties settings() {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, env("BENCH_GROUP"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, env("BENCH_KAFKA"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, env("BENCH_STATE"));
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1_000);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L * 1024 * 1024);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 4_000);
        return settings;
    }

    private static String env(String name) {
        return System.getenv(name);
    }

    private static final class Segmenter extends ContextualProcessor<String, byte[], String, byte[]> {
        private static final AtomicBoolean BEGUN = new AtomicBoolean();
        private final Job job;
        private KeyValueStore<String, Account> accounts;

        Segmenter(Job job) {
            this.job = job;
        }

        @Override
        public void init(ProcessorContext<String, byte[]> context) {
            super.init(context);
            accounts = context.getStateStore(STORE);
        }

        @Override
        public void process(Record<String, byte[]> record) {
            Event event;
            try {
                if (!BEGUN.get() && BEGUN.compareAndSet(false, true)) {
                    noteBeginning();
                }
                event = Event.read(record.value());
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
            Account account = accounts.get(event.account);
            if (account == null) {
                account = new Account(job.features);
            }
            String topic = context().recordMetadata().orElseThrow().topic();
            int previous = job.apply(account, topic, event);
            accounts.put(event.account, account);
            if (account.segment != previous) {
                context().forward(record.withKey(event.account).withValue(change(event, previous, account.segment)));
            }
        }

        /** Says when the first event of this process came, for the benchmark. */
        private static void noteBeginning() throws IOException {
            String seconds = String.valueOf(System.currentTimeMillis() / 1e3);
            Files.writeString(Path.of(env("BENCH_STATE"), "began"), seconds);
        }

        private static byte[] change(Event event, int previous, int current) {
            String text = "{\"account_id\":\"" + event.account + "\",\"previous\":" + (previous == 0 ? "null" : previous)
                    + ",\"current\":" + current + ",\"at_us\":" + event.atUs + "}";
            return text.getBytes(StandardCharsets.UTF_8);
        }
    }
}
