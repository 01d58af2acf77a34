// variant: 4.4.0 maven: org.apache.kafka:kafka-clients:4.4.0
// variant: 2.8.2 maven: org.apache.kafka:kafka-clients:2.8.2
// maven: org.slf4j:slf4j-nop:1.7.36

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.Socket;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.DescribeTopicsResult;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.LogTruncationException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * The Java client: the newest release, the reference of the protocol with every admin call, and one whose line began in
 * 2021, which fetches by topic name and is not idempotent unless told. What only one of them has is called by name.
 */
public final class Java {
    private static final String BROKER = System.getenv("BROKER");
    private static final String ONLY = System.getenv().getOrDefault("ONLY", "");
    private static final Duration PATIENCE = Duration.ofSeconds(60);
    private static boolean failed;
    private static Admin admin;

    private interface Behaviour {
        void run() throws Exception;
    }

    public static void main(String[] arguments) {
        admin = Admin.create(Map.of("bootstrap.servers", BROKER));
        tell("metadata", Java::metadata);
        tell("describe cluster", Java::describeCluster);
        tell("automatic topic creation", Java::automaticTopicCreation);
        tell("unknown topic", Java::unknownTopic);
        tell("unknown partition", Java::unknownPartition);
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            tell("codec " + codec, () -> codec(codec));
        }
        tell("keys", Java::keys);
        tell("headers", Java::headers);
        tell("null and empty values", Java::nullAndEmptyValues);
        tell("sizes 1 B to 10 MiB", Java::sizes);
        tell("message too large", Java::messageTooLarge);
        for (String acks : List.of("0", "1", "all")) {
            tell("acks " + acks, () -> acks(acks));
        }
        tell("idempotent producer", () -> idempotentProducer(5));
        tell("idempotent, 1 in flight", () -> idempotentProducer(1));
        tell("offsets by time", Java::offsetsByTime);
        tell("list offsets", Java::listOffsets);
        tell("seek into a batch", Java::seekIntoABatch);
        tell("fetch waits for data", Java::fetchWaitsForData);
        tell("offset out of range", Java::offsetOutOfRange);
        tell("create topic", Java::createTopic);
        tell("describe topics", Java::describeTopics);
        tell("create partitions", Java::createPartitions);
        tell("describe configs", Java::describeConfigs);
        if (has(Admin.class, "alterConfigs")) {
            tell("alter configs", Java::alterConfigs);
        } else {
            lacks("alter configs", "gone from the Java client since 4.0");
        }
        tell("incremental alter configs", Java::incrementalAlterConfigs);
        tell("append to config lists", Java::appendToConfigLists);
        tell("describe log dirs", Java::describeLogDirs);
        tell("delete records", Java::deleteRecords);
        tell("delete topic", Java::deleteTopic);
        tell("keyless on compacted topic", Java::keylessOnCompactedTopic);
        restarts("goes on after a restart", Java::goesOnAfterARestart);
        restarts("leader epoch after a restart", Java::leaderEpochAfterARestart);
        admin.close();
        System.exit(failed ? 1 : 0);
    }

    // === telling ===

    private static void tell(String name, Behaviour behaviour) {
        if (!name.contains(ONLY)) {
            return;
        }
        try {
            behaviour.run();
            System.out.println("ok\t" + name);
        } catch (Exception | AssertionError error) {
            failed = true;
            String line = Arrays.stream(error.getStackTrace())
                .filter(frame -> frame.getClassName().startsWith("Java"))
                .map(frame -> frame.getMethodName() + ":" + frame.getLineNumber())
                .limit(3).reduce((a, b) -> a + " < " + b).orElse("?");
            String text = (line + ": " + error).replaceAll("\\s+", " ");
            System.out.println("fail\t" + name + "\t" + text.substring(0, Math.min(600, text.length())));
        }
    }

    private static void lacks(String name, String why) {
        if (name.contains(ONLY)) {
            System.out.println("lacks\t" + name + "\t" + why);
        }
    }

    private static void restarts(String name, WithLent behaviour) {
        if (!System.getenv().getOrDefault("RESTART", "").isEmpty()) {
            tell(name, () -> restartable(behaviour));
        } else if (name.contains(ONLY)) {
            System.out.println("skip\t" + name + "\tthis run has no broker that may be restarted");
        }
    }

    private static void equal(Object found, Object expected, String what) {
        if (!Objects.deepEquals(found, expected)) {
            String text = found instanceof byte[] bytes ? bytes.length + " bytes" : String.valueOf(found);
            throw new AssertionError(what + " is " + text + ", not " + expected);
        }
    }

    private static void check(boolean holds, Object what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    private static void until(String what, Callable<Boolean> condition) throws Exception {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (!condition.call()) {
            check(System.nanoTime() < deadline, what + " did not come true");
            Thread.sleep(50);
        }
    }

    private static <T> T get(Future<T> future) throws Exception {
        return future.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
    }

    private static boolean has(Class<?> type, String method) {
        return Arrays.stream(type.getMethods()).anyMatch(each -> each.getName().equals(method));
    }

    /** Calls the first of these methods that this release has; of a class, a static one. */
    @SuppressWarnings("unchecked")
    private static <T> T call(Object on, String... names) throws Exception {
        Class<?> type = on instanceof Class<?> itself ? itself : on.getClass();
        for (String name : names) {
            if (has(type, name)) {
                return (T) type.getMethod(name).invoke(on);
            }
        }
        throw new NoSuchMethodException(type + " has none of " + List.of(names));
    }

    private static void refused(Future<?> future, Class<? extends Exception> why) throws Exception {
        try {
            Object answer = get(future);
            throw new AssertionError("was accepted (" + answer + ") instead of " + why.getSimpleName());
        } catch (ExecutionException error) {
            check(why.isInstance(error.getCause()), error.getCause() + " is not " + why.getSimpleName());
        }
    }

    // === what the behaviours are made of ===

    private static String topic(String name) {
        return "java-" + name + "-" + ProcessHandle.current().pid() + "-" + System.nanoTime();
    }

    private static String create(String name, int partitions, String... configs) throws Exception {
        Map<String, String> settings = new HashMap<>();
        for (int index = 0; index < configs.length; index += 2) {
            settings.put(configs[index], configs[index + 1]);
        }
        NewTopic wanted = new NewTopic(name, partitions, (short) 1).configs(settings);
        get(admin.createTopics(List.of(wanted)).all());
        until(name + " is listed", () -> get(admin.listTopics().names()).contains(name));
        return name;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(UTF_8);
    }

    private static byte[] random(int size) {
        byte[] value = new byte[size];
        new Random(size).nextBytes(value);
        return value;
    }

    private static ProducerRecord<byte[], byte[]> record(String topic, Integer partition, String key, byte[] value) {
        return new ProducerRecord<>(topic, partition, key == null ? null : bytes(key), value);
    }

    private static List<Future<RecordMetadata>> send(
        List<ProducerRecord<byte[], byte[]>> records, String... options
    ) {
        // Before 3.0 a producer asks for acks=1 unless told, and what it wrote may be read a moment later.
        Map<String, Object> settings = new HashMap<>(Map.of(
            "bootstrap.servers", BROKER, "acks", "all", "linger.ms", 50, "max.request.size", 20_000_000,
            "buffer.memory", 64_000_000, "max.block.ms", 20_000));
        for (int index = 0; index < options.length; index += 2) {
            settings.put(options[index], options[index + 1]);
        }
        ByteArraySerializer bytes = new ByteArraySerializer();
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings, bytes, bytes)) {
            return records.stream().map(producer::send).toList();
        }
    }

    /** Sends and returns the offsets. */
    private static List<Long> produce(List<ProducerRecord<byte[], byte[]>> records, String... options)
        throws Exception {
        List<Long> offsets = new ArrayList<>();
        for (Future<RecordMetadata> answer : send(records, options)) {
            offsets.add(get(answer).offset());
        }
        return offsets;
    }

    private static List<ProducerRecord<byte[], byte[]>> numbered(String topic, int count) {
        return IntStream.range(0, count).mapToObj(n -> record(topic, 0, null, bytes("" + n))).toList();
    }

    private static KafkaConsumer<byte[], byte[]> reader(String... options) {
        Map<String, Object> settings = new HashMap<>(Map.of(
            "bootstrap.servers", BROKER, "enable.auto.commit", false, "auto.offset.reset", "none",
            "allow.auto.create.topics", false, "default.api.timeout.ms", 20_000));
        for (int index = 0; index < options.length; index += 2) {
            settings.put(options[index], options[index + 1]);
        }
        ByteArrayDeserializer bytes = new ByteArrayDeserializer();
        return new KafkaConsumer<>(settings, bytes, bytes);
    }

    /** Everything from an offset (or the beginning: -1) to the end of some partitions. */
    private static List<ConsumerRecord<byte[], byte[]>> consume(
        String topic, int partitions, long from, String... options
    ) {
        List<TopicPartition> places =
            IntStream.range(0, partitions).mapToObj(index -> new TopicPartition(topic, index)).toList();
        List<ConsumerRecord<byte[], byte[]>> found = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> consumer = reader(options)) {
            consumer.assign(places);
            if (from < 0) {
                consumer.seekToBeginning(places);
            } else {
                places.forEach(place -> consumer.seek(place, from));
            }
            Map<TopicPartition, Long> ends = consumer.endOffsets(places);
            long deadline = System.nanoTime() + PATIENCE.toNanos();
            while (places.stream().anyMatch(place -> consumer.position(place) < ends.get(place))
                || (from >= 0 && found.isEmpty())) {
                consumer.poll(Duration.ofMillis(500)).forEach(found::add);
                check(System.nanoTime() < deadline, "no end after " + found.size() + " records");
            }
        }
        return found;
    }

    private static List<String> values(String topic) {
        return consume(topic, 1, -1).stream().map(found -> new String(found.value(), UTF_8)).toList();
    }

    private static TopicDescription describe(String topic) throws Exception {
        Map<String, Future<TopicDescription>> answers =
            call(admin.describeTopics(List.of(topic)), "topicNameValues", "values");
        return get(answers.get(topic));
    }

    private static Config configs(ConfigResource.Type kind, String name) throws Exception {
        ConfigResource resource = new ConfigResource(kind, name);
        return get(admin.describeConfigs(List.of(resource)).values().get(resource));
    }

    // === behaviours ===

    private static void metadata() throws Exception {
        String name = create(topic("metadata"), 3);
        try (KafkaConsumer<byte[], byte[]> consumer = reader()) {
            equal(consumer.partitionsFor(name).size(), 3, "partitions");
            check(consumer.partitionsFor(name).stream().allMatch(p -> p.leader() != null), "a leader each");
            check(consumer.listTopics().containsKey(name), "the topic is listed");
        }
        String first = get(admin.describeCluster().clusterId());
        equal(get(admin.describeCluster().clusterId()), first, "the cluster id");
    }

    private static void describeCluster() throws Exception {
        var cluster = admin.describeCluster();
        Node controller = get(cluster.controller());
        check(get(cluster.nodes()).contains(controller), controller);
        check(!get(cluster.clusterId()).isEmpty(), "a cluster id");
    }

    private static void automaticTopicCreation() throws Exception {
        String name = topic("automatic");
        produce(List.of(record(name, null, null, bytes("first"))));
        int partitions = describe(name).partitions().size();
        equal(consume(name, partitions, -1).size(), 1, "records");
    }

    private static void unknownTopic() throws Exception {
        String name = topic("unknown");
        try (KafkaConsumer<byte[], byte[]> consumer = reader("default.api.timeout.ms", "2000")) {
            List<TopicPartition> place = List.of(new TopicPartition(name, 0));
            consumer.endOffsets(place);
            throw new AssertionError("an unknown topic has end offsets");
        } catch (TimeoutException expected) {
            check(!get(admin.listTopics().names()).contains(name), "the question created the topic");
        }
        Future<?> answer = call(admin.describeTopics(List.of(name)), "allTopicNames", "all");
        refused(answer, UnknownTopicOrPartitionException.class);
        refused(admin.deleteTopics(List.of(name)).all(), UnknownTopicOrPartitionException.class);
    }

    private static void unknownPartition() throws Exception {
        String name = create(topic("partition"), 1);
        List<ProducerRecord<byte[], byte[]>> records = List.of(record(name, 7, null, bytes("x")));
        refused(send(records, "max.block.ms", "2000").get(0), TimeoutException.class);
    }

    private static void codec(String codec) throws Exception {
        String name = create(topic("codec-" + codec), 1);
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (int size = 1; size < 2_000; size += 13) {
            records.add(record(name, 0, null, random(size)));
        }
        if (!codec.equals("none")) {
            // 4 MiB go through a limit of 1 MiB only when they are compressed.
            records.add(record(name, 0, null, bytes("all work and no play, ".repeat(200_000))));
        }
        produce(records, "compression.type", codec);
        List<ConsumerRecord<byte[], byte[]>> found = consume(name, 1, -1);
        equal(found.size(), records.size(), "the number of records");
        for (int index = 0; index < found.size(); index++) {
            equal(found.get(index).value(), records.get(index).value(), "value " + index);
        }
    }

    private static void keys() throws Exception {
        String name = create(topic("keys"), 4);
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (int number = 0; number < 100; number++) {
            records.add(record(name, null, "k" + number % 5, bytes("" + number)));
        }
        produce(records);
        List<ConsumerRecord<byte[], byte[]>> found = consume(name, 4, -1);
        for (int key = 0; key < 5; key++) {
            String wanted = "k" + key;
            var mine = found.stream().filter(f -> new String(f.key(), UTF_8).equals(wanted)).toList();
            int first = key;
            equal(mine.stream().map(f -> new String(f.value(), UTF_8)).toList(),
                IntStream.range(0, 20).mapToObj(n -> "" + (first + 5 * n)).toList(), "the order of " + wanted);
            equal(mine.stream().map(ConsumerRecord::partition).distinct().count(), 1L, "partitions of " + wanted);
        }
        String other = create(topic("keys-null"), 1);
        produce(List.of(record(other, 0, null, bytes("null")), record(other, 0, "", bytes("empty"))));
        List<ConsumerRecord<byte[], byte[]>> two = consume(other, 1, -1);
        equal(two.get(0).key(), null, "the null key");
        equal(two.get(1).key(), new byte[0], "the empty key");
    }

    private static void headers() throws Exception {
        String name = create(topic("headers"), 1);
        ProducerRecord<byte[], byte[]> sent = record(name, 0, null, bytes("x"));
        sent.headers().add("a", bytes("1")).add("a", bytes("2")).add("null", null).add("empty", new byte[0])
            .add("ключ", bytes("значение")).add("a", bytes("3"));
        produce(List.of(sent, record(name, 0, null, bytes("without"))));
        List<ConsumerRecord<byte[], byte[]>> found = consume(name, 1, -1);
        Header[] expected = sent.headers().toArray();
        Header[] headers = found.get(0).headers().toArray();
        equal(headers.length, expected.length, "the number of headers");
        for (int index = 0; index < headers.length; index++) {
            equal(headers[index].key(), expected[index].key(), "key " + index);
            equal(headers[index].value(), expected[index].value(), "value " + index);
        }
        equal(found.get(1).headers().toArray().length, 0, "headers of a record without");
    }

    private static void nullAndEmptyValues() throws Exception {
        String name = create(topic("null"), 1);
        produce(List.of(record(name, 0, "k", null), record(name, 0, "k", new byte[0]),
            record(name, 0, null, null)));
        List<ConsumerRecord<byte[], byte[]>> found = consume(name, 1, -1);
        equal(found.get(0).value(), null, "the null value");
        equal(found.get(1).value(), new byte[0], "the empty value");
        equal(found.get(2).key(), null, "the null key");
    }

    private static void sizes() throws Exception {
        String name = create(topic("sizes"), 1, "max.message.bytes", "12000000");
        List<byte[]> values = IntStream.of(1, 2, 100, 4_095, 65_537, 1 << 20, 10 << 20)
            .mapToObj(Java::random).toList();
        produce(values.stream().map(value -> record(name, 0, null, value)).toList());
        // Fetch limits far below the records: at least one whole batch comes all the same.
        List<ConsumerRecord<byte[], byte[]>> found =
            consume(name, 1, -1, "max.partition.fetch.bytes", "1000", "fetch.max.bytes", "1000");
        equal(found.size(), values.size(), "the number of records");
        for (int index = 0; index < values.size(); index++) {
            equal(found.get(index).value(), values.get(index), "value " + index);
        }
    }

    private static void messageTooLarge() throws Exception {
        String name = create(topic("large"), 1, "max.message.bytes", "10000");
        refused(send(List.of(record(name, 0, null, random(20_000)))).get(0), RecordTooLargeException.class);
        equal(produce(List.of(record(name, 0, null, random(9_000)))), List.of(0L), "the offset");
        equal(consume(name, 1, -1).size(), 1, "records");
    }

    private static void acks(String acks) throws Exception {
        String name = create(topic("acks-" + acks), 1);
        List<ProducerRecord<byte[], byte[]>> records = numbered(name, 1_000);
        List<Long> offsets = produce(records, "acks", acks, "enable.idempotence", "" + acks.equals("all"));
        if (!acks.equals("0")) {
            equal(offsets, IntStream.range(0, 1_000).mapToObj(n -> (long) n).toList(), "the offsets");
        }
        List<String> expected = IntStream.range(0, 1_000).mapToObj(n -> "" + n).toList();
        until("all values are there", () -> values(name).equals(expected));
    }

    private static void idempotentProducer(int inFlight) throws Exception {
        String name = create(topic("idempotent"), 1);
        List<Long> offsets = produce(numbered(name, 20_000), "linger.ms", "0", "batch.size", "500",
            "enable.idempotence", "true",
            "max.in.flight.requests.per.connection", "" + inFlight);
        equal(offsets, IntStream.range(0, 20_000).mapToObj(n -> (long) n).toList(), "the offsets");
        equal(values(name), IntStream.range(0, 20_000).mapToObj(n -> "" + n).toList(), "the values");
    }

    private static void offsetsByTime() throws Exception {
        String name = create(topic("times"), 1);
        long start = System.currentTimeMillis() - 600_000;
        // One batch, so that the answer must be looked for inside it; times are not in order.
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (long stamp : new long[] {0, 10, 30, 20, 40}) {
            records.add(new ProducerRecord<>(name, 0, start + stamp, null, bytes("x")));
        }
        produce(records, "compression.type", "zstd", "linger.ms", "500");
        TopicPartition place = new TopicPartition(name, 0);
        long[][] answers = {{0, 0}, {5, 1}, {11, 2}, {25, 2}, {31, 4}, {41, -1}};
        try (KafkaConsumer<byte[], byte[]> consumer = reader()) {
            for (long[] answer : answers) {
                OffsetAndTimestamp found =
                    consumer.offsetsForTimes(Map.of(place, start + answer[0])).get(place);
                equal(found == null ? -1 : found.offset(), answer[1], "the offset at start+" + answer[0]);
            }
        }
    }

    private static long[] offset(String topic, OffsetSpec spec) throws Exception {
        TopicPartition place = new TopicPartition(topic, 0);
        var found = get(admin.listOffsets(Map.of(place, spec)).partitionResult(place));
        return new long[] {found.offset(), found.timestamp()};
    }

    private static void listOffsets() throws Exception {
        String name = create(topic("list"), 1);
        long start = System.currentTimeMillis();
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (long stamp : new long[] {0, 900, 300}) {
            records.add(new ProducerRecord<>(name, 0, start + stamp, null, bytes("x")));
        }
        produce(records);
        equal(offset(name, OffsetSpec.earliest())[0], 0L, "earliest");
        equal(offset(name, OffsetSpec.latest())[0], 3L, "latest");
        if (has(OffsetSpec.class, "maxTimestamp")) {
            OffsetSpec largest = call(OffsetSpec.class, "maxTimestamp");
            equal(offset(name, largest), new long[] {1, start + 900}, "the largest timestamp");
        }
        equal(offset(name, OffsetSpec.forTimestamp(start + 200))[0], 1L, "by time");
        if (has(OffsetSpec.class, "earliestLocal")) {
            equal(offset(name, call(OffsetSpec.class, "earliestLocal"))[0], 0L, "earliest local");
        }
    }

    private static void seekIntoABatch() throws Exception {
        String name = create(topic("seek"), 1);
        produce(numbered(name, 1_000), "linger.ms", "500", "compression.type", "gzip");
        for (long from : new long[] {1, 499, 998, 999}) {
            List<ConsumerRecord<byte[], byte[]>> found = consume(name, 1, from);
            equal(found.get(0).offset(), from, "the first offset");
            equal(found.size(), (int) (1_000 - from), "the number of records");
            equal(found.get(0).value(), bytes("" + from), "the first value");
        }
    }

    private static void fetchWaitsForData() throws Exception {
        String name = create(topic("wait"), 1);
        try (KafkaConsumer<byte[], byte[]> consumer = reader("fetch.max.wait.ms", "8000")) {
            List<TopicPartition> place = List.of(new TopicPartition(name, 0));
            consumer.assign(place);
            consumer.seekToBeginning(place);
            // Closing waits for the next fetch, so it may not wait for long.
            check(consumer.poll(Duration.ofSeconds(1)).isEmpty(), "the topic is empty");
            produce(numbered(name, 1), "linger.ms", "0");
            long produced = System.nanoTime();
            equal(consumer.poll(PATIENCE).count(), 1, "records");
            long waited = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - produced);
            check(waited < 5_000, "the record came after " + waited + " ms; the fetch may wait 8 s");
        }
    }

    private static void offsetOutOfRange() throws Exception {
        String name = create(topic("range"), 1);
        produce(numbered(name, 2));
        try {
            consume(name, 1, 1_000);
            throw new AssertionError("an offset beyond the end was read");
        } catch (org.apache.kafka.clients.consumer.OffsetOutOfRangeException expected) {
            equal(expected.offsetOutOfRangePartitions(), Map.of(new TopicPartition(name, 0), 1_000L), "what is out");
        }
        equal(consume(name, 1, 1_000, "auto.offset.reset", "earliest").size(), 2, "records after the reset");
    }

    private static Future<?> attempt(NewTopic wanted, boolean validateOnly) {
        return admin.createTopics(List.of(wanted), new CreateTopicsOptions().validateOnly(validateOnly)).all();
    }

    private static void createTopic() throws Exception {
        String name = topic("create");
        NewTopic wanted = new NewTopic(name, 5, (short) 1).configs(Map.of("retention.ms", "3600000"));
        var created = admin.createTopics(List.of(wanted));
        equal(get(created.numPartitions(name)), 5, "partitions told at once");
        equal(get(created.config(name)).get("retention.ms").value(), "3600000", "the config told at once");
        check(!get(created.topicId(name)).equals(Uuid.ZERO_UUID), "an id");
        refused(attempt(wanted, false), TopicExistsException.class);
        refused(attempt(new NewTopic("not/a/name", 1, (short) 1), false), InvalidTopicException.class);
        refused(attempt(new NewTopic("..", 1, (short) 1), false), InvalidTopicException.class);
        refused(attempt(new NewTopic(topic("zero"), 0, (short) 1), false), InvalidPartitionsException.class);
        refused(attempt(new NewTopic(topic("many"), 1, (short) 3), false), InvalidReplicationFactorException.class);
        NewTopic bad = new NewTopic(topic("bad"), 1, (short) 1).configs(Map.of("retention.ms", "soon"));
        refused(attempt(bad, false), InvalidConfigurationException.class);
        NewTopic odd = new NewTopic(topic("odd"), 1, (short) 1).configs(Map.of("no.such.config", "1"));
        refused(attempt(odd, false), InvalidConfigurationException.class);
        String dry = topic("dry");
        get(attempt(new NewTopic(dry, 1, (short) 1), true));
        check(!get(admin.listTopics().names()).contains(dry), "validation created the topic");
    }

    private static void describeTopics() throws Exception {
        // More than one page of DescribeTopicPartitions would hold, and in order.
        String name = create(topic("describe"), 30);
        TopicDescription found = describe(name);
        equal(found.partitions().stream().map(p -> p.partition()).toList(),
            IntStream.range(0, 30).boxed().toList(), "the partitions");
        check(found.partitions().stream().allMatch(p -> p.leader() != null && p.isr().size() == 1), found);
        if (has(DescribeTopicsResult.class, "topicIdValues")) {
            Class<?> collection = Class.forName("org.apache.kafka.common.TopicCollection");
            Object ids = collection.getMethod("ofTopicIds", Collection.class).invoke(null, List.of(found.topicId()));
            Object answer = Admin.class.getMethod("describeTopics", collection).invoke(admin, ids);
            Map<Uuid, Future<TopicDescription>> byId = call(answer, "topicIdValues");
            equal(get(byId.get(found.topicId())).name(), name, "the name of the id");
        }
    }

    private static void createPartitions() throws Exception {
        String name = create(topic("more"), 2);
        produce(numbered(name, 1));
        get(admin.createPartitions(Map.of(name, NewPartitions.increaseTo(4))).all());
        until("there are four", () -> describe(name).partitions().size() == 4);
        equal(produce(List.of(record(name, 3, null, bytes("new")))), List.of(0L), "the offset in the new one");
        for (int count : new int[] {3, 4}) {
            var answer = admin.createPartitions(Map.of(name, NewPartitions.increaseTo(count)));
            refused(answer.all(), InvalidPartitionsException.class);
        }
    }

    private static void describeConfigs() throws Exception {
        String name = create(topic("configs"), 1, "retention.ms", "1000000", "segment.bytes", "2000000");
        Config found = configs(ConfigResource.Type.TOPIC, name);
        Map<String, String> own = new HashMap<>();
        for (ConfigEntry entry : found.entries()) {
            if (entry.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG) {
                own.put(entry.name(), entry.value());
            }
            check(entry.type() != ConfigEntry.ConfigType.UNKNOWN, entry + " has no type");
        }
        equal(own, Map.of("retention.ms", "1000000", "segment.bytes", "2000000"), "the topic's own values");
        equal(found.get("cleanup.policy").value(), "delete", "cleanup.policy");
        equal(found.get("max.message.bytes").value(), "1048588", "max.message.bytes");
        equal(found.get("max.message.bytes").source(), ConfigEntry.ConfigSource.DEFAULT_CONFIG, "its source");
        String broker = get(admin.describeCluster().controller()).idString();
        equal(configs(ConfigResource.Type.BROKER, broker).get("message.max.bytes").value(), "1048588",
            "message.max.bytes");
    }

    private static Future<?> alter(String topic, String key, String value, AlterConfigOp.OpType operation) {
        AlterConfigOp change = new AlterConfigOp(new ConfigEntry(key, value), operation);
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        return admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all();
    }

    private static void alterConfigs() throws Exception {
        String name = create(topic("alter"), 1, "retention.ms", "1000000", "segment.bytes", "2000000");
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, name);
        Config wanted = new Config(List.of(new ConfigEntry("retention.ms", "2000000")));
        Object answer = Admin.class.getMethod("alterConfigs", Map.class).invoke(admin, Map.of(resource, wanted));
        Future<?> all = call(answer, "all");
        get(all);
        Callable<Config> found = () -> configs(ConfigResource.Type.TOPIC, name);
        until("the new value is there", () -> found.call().get("retention.ms").value().equals("2000000"));
        // What the set leaves out is no longer the topic's own.
        equal(found.call().get("segment.bytes").value(), "1073741824", "segment.bytes");
    }

    private static void incrementalAlterConfigs() throws Exception {
        String name = create(topic("incremental"), 1, "retention.ms", "1000000", "segment.bytes", "2000000");
        get(alter(name, "max.message.bytes", "5000", AlterConfigOp.OpType.SET));
        get(alter(name, "retention.ms", null, AlterConfigOp.OpType.DELETE));
        Map<String, String> expected = Map.of("max.message.bytes", "5000", "retention.ms", "604800000",
            "segment.bytes", "2000000");
        until("the topic has " + expected, () -> {
            Config found = configs(ConfigResource.Type.TOPIC, name);
            return expected.entrySet().stream().allMatch(e -> found.get(e.getKey()).value().equals(e.getValue()));
        });
        refused(send(List.of(record(name, 0, null, random(6_000)))).get(0), RecordTooLargeException.class);
        refused(alter(name, "max.message.bytes", "-5", AlterConfigOp.OpType.SET),
            InvalidConfigurationException.class);
    }

    private static void appendToConfigLists() throws Exception {
        String name = create(topic("lists"), 1);
        Callable<String> policy = () -> configs(ConfigResource.Type.TOPIC, name).get("cleanup.policy").value();
        get(alter(name, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND));
        until("compact is there", () -> policy.call().equals("delete,compact"));
        get(alter(name, "cleanup.policy", "compact", AlterConfigOp.OpType.SUBTRACT));
        until("compact is gone", () -> policy.call().equals("delete"));
    }

    private static void describeLogDirs() throws Exception {
        String name = create(topic("dirs"), 2);
        produce(List.of(record(name, 1, null, random(10_000))));
        Node node = get(admin.describeCluster().controller());
        Map<String, LogDirDescription> dirs =
            get(admin.describeLogDirs(List.of(node.id())).allDescriptions()).get(node.id());
        Set<TopicPartition> seen = new HashSet<>();
        for (LogDirDescription dir : dirs.values()) {
            equal(dir.error(), null, "the error of the directory");
            dir.replicaInfos().forEach((place, info) -> {
                if (place.topic().equals(name)) {
                    seen.add(place);
                    check(info.size() >= place.partition() * 10_000L, place + " has " + info.size() + " bytes");
                }
            });
        }
        equal(seen, Set.of(new TopicPartition(name, 0), new TopicPartition(name, 1)), "the partitions told");
    }

    private static Future<Long> deleteTo(String topic, long offset) {
        TopicPartition place = new TopicPartition(topic, 0);
        var answers = admin.deleteRecords(Map.of(place, RecordsToDelete.beforeOffset(offset))).lowWatermarks();
        return answers.get(place).thenApply(deleted -> deleted.lowWatermark());
    }

    private static void deleteRecords() throws Exception {
        String name = create(topic("records"), 1);
        produce(numbered(name, 10));
        equal(get(deleteTo(name, 4)), 4L, "the low watermark");
        equal(values(name), IntStream.range(4, 10).mapToObj(n -> "" + n).toList(), "the values");
        equal(offset(name, OffsetSpec.earliest())[0], 4L, "earliest");
        refused(deleteTo(name, 11), OffsetOutOfRangeException.class);
        equal(get(deleteTo(name, -1)), 10L, "the low watermark at the end");
        equal(produce(numbered(name, 1)), List.of(10L), "the next offset");
    }

    private static void deleteTopic() throws Exception {
        String name = create(topic("gone"), 1);
        produce(numbered(name, 3));
        Uuid before = describe(name).topicId();
        get(admin.deleteTopics(List.of(name)).all());
        until("the topic is gone", () -> !get(admin.listTopics().names()).contains(name));
        create(name, 1);
        check(!describe(name).topicId().equals(before), "the id " + before + " is used again");
        equal(offset(name, OffsetSpec.latest())[0], 0L, "latest");
        equal(produce(numbered(name, 1)), List.of(0L), "the first offset");
    }

    private static void keylessOnCompactedTopic() throws Exception {
        String name = create(topic("compact"), 1, "cleanup.policy", "compact");
        refused(send(List.of(record(name, 0, null, bytes("no key")))).get(0), InvalidRecordException.class);
        equal(produce(List.of(record(name, 0, "key", bytes("value")))), List.of(0L), "the offset");
    }

    // === a restart ===

    /** A broker that nobody else has for now, on which topics may be made. */
    private record Lent(String address, Admin admin, BufferedReader answers, OutputStream questions) {
        void restart() throws Exception {
            questions.write(bytes("restart\n"));
            equal(answers.readLine(), "done", "the answer to the restart");
        }

        String create(String name) throws Exception {
            get(admin.createTopics(List.of(new NewTopic(name, 1, (short) 1))).all());
            until(name + " is listed", () -> get(admin.listTopics().names()).contains(name));
            return name;
        }
    }

    private interface WithLent {
        void run(Lent broker) throws Exception;
    }

    /** Borrows a broker that may be restarted; what it says is in README.md. */
    private static void restartable(WithLent behaviour) throws Exception {
        String[] place = System.getenv("RESTART").split(":");
        try (Socket socket = new Socket(place[0], Integer.parseInt(place[1]))) {
            BufferedReader answers = new BufferedReader(new InputStreamReader(socket.getInputStream(), UTF_8));
            String address = answers.readLine();
            try (Admin lentAdmin = Admin.create(Map.of("bootstrap.servers", address))) {
                behaviour.run(new Lent(address, lentAdmin, answers, socket.getOutputStream()));
            }
        }
    }

    private static void goesOnAfterARestart(Lent broker) throws Exception {
        String name = broker.create(topic("restart"));
        ByteArraySerializer bytes = new ByteArraySerializer();
        List<Long> told = new ArrayList<>();
        List<Long> found = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(Map.of("bootstrap.servers", broker.address(), "acks", "all"), bytes, bytes);
            KafkaConsumer<byte[], byte[]> consumer = reader("bootstrap.servers", broker.address())) {
            consumer.assign(List.of(new TopicPartition(name, 0)));
            consumer.seek(new TopicPartition(name, 0), 0);
            for (int round = 1; round <= 2; round++) {
                for (ProducerRecord<byte[], byte[]> record : numbered(name, 10)) {
                    told.add(get(producer.send(record)).offset());
                }
                int wanted = 10 * round;
                until(wanted + " are read", () -> {
                    consumer.poll(Duration.ofMillis(200)).forEach(record -> found.add(record.offset()));
                    return found.size() >= wanted;
                });
                if (round == 1) {
                    broker.restart();
                }
            }
        }
        List<Long> expected = LongStream.range(0, 20).boxed().toList();
        equal(told, expected, "the acknowledged offsets");
        equal(found, expected, "the offsets read");
    }

    private static void leaderEpochAfterARestart(Lent broker) throws Exception {
        String name = broker.create(topic("epoch"));
        String[] there = {"bootstrap.servers", broker.address()};
        produce(numbered(name, 10), there);
        broker.restart();
        produce(numbered(name, 10), there);
        List<ConsumerRecord<byte[], byte[]>> all = consume(name, 1, -1, there);
        Optional<Integer> first = all.get(0).leaderEpoch();
        Optional<Integer> second = all.get(19).leaderEpoch();
        check(second.get() > first.get(), "the epoch went from " + first + " to " + second);
        check(all.stream().allMatch(record -> record.leaderEpoch().equals(record.offset() < 10 ? first : second)),
            "each record has the epoch of its time");
        // The epoch of before ended at offset 10: a position of it below is good, one above was truncated away.
        TopicPartition place = new TopicPartition(name, 0);
        try (KafkaConsumer<byte[], byte[]> consumer = reader(there)) {
            consumer.assign(List.of(place));
            consumer.seek(place, new OffsetAndMetadata(5, first, ""));
            List<ConsumerRecord<byte[], byte[]>> found = new ArrayList<>();
            until("something is read", () -> {
                consumer.poll(Duration.ofMillis(200)).forEach(found::add);
                return !found.isEmpty();
            });
            equal(found.get(0).offset(), 5L, "the first offset");
            consumer.seek(place, new OffsetAndMetadata(15, first, ""));
            until("the truncation is noticed", () -> {
                try {
                    consumer.poll(Duration.ofMillis(200)).forEach(record -> check(false, "read " + record));
                    return false;
                } catch (LogTruncationException noticed) {
                    equal(noticed.divergentOffsets().get(place).offset(), 10L, "the divergent offset");
                    return true;
                }
            });
        }
    }
}
