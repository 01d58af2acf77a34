// variant: 2.8.2 lacks: consumer group: * | the new protocol is newer
// variant: 2.8.2 lacks: describe consumer group | the new protocol is newer
//
// A member of a group, or an administrator, by the Java client.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.StringDeserializer;

public final class Java {
    static final BufferedReader COMMANDS = new BufferedReader(new InputStreamReader(System.in));

    static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    /** A field of the options: a string, a number, a truth, or a list of strings with commas. */
    static String option(String options, String name) {
        Matcher found = Pattern.compile("\"" + name + "\": (?:\"([^\"]*)\"|\\[([^\\]]*)\\]|([a-z0-9]+))").matcher(options);
        found.find();
        String value = found.group(1) != null ? found.group(1) : found.group(2) != null ? found.group(2) : found.group(3);
        return value.replace("\"", "").replace("\\\\", "\\");
    }

    static Properties settings(String group) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", System.getenv("BROKER"));
        settings.put("group.id", group);
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        settings.put("metadata.max.age.ms", "1000");
        settings.put("fetch.max.wait.ms", "100");
        settings.put("key.deserializer", StringDeserializer.class.getName());
        settings.put("value.deserializer", StringDeserializer.class.getName());
        return settings;
    }

    static void subscribe(KafkaConsumer<String, String> consumer, String options, ConsumerRebalanceListener listener)
            throws ReflectiveOperationException {
        String pattern = option(options, "pattern");
        if (pattern.isEmpty()) {
            consumer.subscribe(Arrays.asList(option(options, "topics").split(", ")), listener);
        } else if (option(options, "protocol").equals("consumer")) {
            // The broker looks for the topics; older releases have no such class.
            Class<?> kind = Class.forName("org.apache.kafka.clients.consumer.SubscriptionPattern");
            Object wanted = kind.getConstructor(String.class).newInstance(pattern);
            KafkaConsumer.class.getMethod("subscribe", kind, ConsumerRebalanceListener.class).invoke(consumer, wanted, listener);
        } else {
            consumer.subscribe(Pattern.compile(pattern), listener);
        }
    }

    static void member(String options) throws Exception {
        Properties settings = settings(option(options, "group"));
        settings.put("isolation.level", option(options, "committed").equals("true") ? "read_committed" : "read_uncommitted");
        if (!option(options, "instance").isEmpty()) {
            settings.put("group.instance.id", option(options, "instance"));
        }
        if (option(options, "protocol").equals("consumer")) {
            settings.put("group.protocol", "consumer");
        } else {
            boolean cooperative = option(options, "assignor").equals("cooperative");
            settings.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer."
                    + (cooperative ? "CooperativeStickyAssignor" : "RangeAssignor"));
            settings.put("session.timeout.ms", option(options, "session"));
            settings.put("heartbeat.interval.ms", "500");
        }
        Set<String> owned = new TreeSet<>();
        ConsumerRebalanceListener listener = new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> places) {
                places.forEach(place -> owned.add(place.topic() + "/" + place.partition()));
                say("owns " + String.join(" ", owned));
            }

            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> places) {
                places.forEach(place -> owned.remove(place.topic() + "/" + place.partition()));
                say("owns " + String.join(" ", owned));
            }
        };
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings)) {
            subscribe(consumer, options, listener);
            while (true) {
                consumer.poll(Duration.ofMillis(50)).forEach(record -> say("read " + record.topic() + "/"
                        + record.partition() + " " + record.offset() + " " + record.value()));
                if (!COMMANDS.ready()) {
                    // A pipe without a writer is not ready, but has ended.
                    if (System.in.available() == 0) {
                        continue;
                    }
                }
                String word = COMMANDS.readLine();
                if (!"commit".equals(word)) {
                    return;
                }
                try {
                    consumer.commitSync(Duration.ofSeconds(20));
                    say("committed");
                } catch (CommitFailedException | org.apache.kafka.common.errors.RetriableException failure) {
                    say("refused " + failure.getMessage());
                }
            }
        }
    }

    // === what an administrator asks ===

    static String json(Map<TopicPartition, Long> offsets) {
        return offsets.entrySet().stream().map(each -> "\"" + each.getKey() + "\": " + each.getValue())
                .map(text -> text.replaceFirst("-(\\d+)\": ", "/$1\": ")).collect(Collectors.joining(", ", "{", "}"));
    }

    static String list(Collection<String> words) {
        return words.stream().map(word -> word.startsWith("[") ? word : "\"" + word + "\"")
                .collect(Collectors.joining(", ", "[", "]"));
    }


    @SuppressWarnings({"deprecation", "removal"})
    static String answer(Admin admin, String verb, String[] words) throws Exception {
        String group = words.length > 1 ? words[1] : "";
        TopicPartition place = words.length > 3 ? new TopicPartition(words[2], Integer.parseInt(words[3])) : null;
        OffsetAndMetadata offset = words.length > 4
                ? new OffsetAndMetadata(Long.parseLong(words[4]), words.length > 5 ? words[5] : "") : null;
        switch (verb) {
            case "groups":
                return list(admin.listConsumerGroups().all().get().stream().map(each -> each.groupId()).collect(Collectors.toList()));
            case "describe":
                ConsumerGroupDescription found = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
                List<String> members = found.members().stream().map(each -> list(each.assignment().topicPartitions().stream()
                        .map(one -> one.topic() + "/" + one.partition()).collect(Collectors.toList()))).collect(Collectors.toList());
                return "{\"state\": \"" + found.state().toString().toLowerCase() + "\", \"members\": " + list(members) + "}";
            case "delete":
                admin.deleteConsumerGroups(List.of(group)).all().get();
                return "null";
            case "offsets":
                return json(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().entrySet().stream()
                        .collect(Collectors.toMap(Map.Entry::getKey, each -> each.getValue().offset())));
            case "alter":
                admin.alterConsumerGroupOffsets(group, Map.of(place, offset)).all().get();
                return "null";
            case "forget":
                admin.deleteConsumerGroupOffsets(group, Set.of(place)).all().get();
                return "null";
            case "ends":
                // The topics of these behaviours have two partitions.
                Map<TopicPartition, OffsetSpec> asked = Map.of(new TopicPartition(group, 0), OffsetSpec.latest(),
                        new TopicPartition(group, 1), OffsetSpec.latest());
                return json(admin.listOffsets(asked).all().get().entrySet().stream()
                        .collect(Collectors.toMap(Map.Entry::getKey, each -> each.getValue().offset())));
            case "commit":
                try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings(group))) {
                    consumer.commitSync(Collections.singletonMap(place, offset));
                    return "null";
                }
            default:
                try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings(group))) {
                    OffsetAndMetadata committed = consumer.committed(Set.of(place)).get(place);
                    return committed == null ? "[-1, null]" : "[" + committed.offset() + ", \"" + committed.metadata() + "\"]";
                }
        }
    }

    static void admin() throws Exception {
        try (Admin admin = Admin.create(settings("none"))) {
            for (String line = COMMANDS.readLine(); line != null; line = COMMANDS.readLine()) {
                String[] words = line.split(" ");
                try {
                    say("ok " + answer(admin, words[0], words));
                } catch (ExecutionException | KafkaException failure) {
                    Throwable cause = failure instanceof ExecutionException ? failure.getCause() : failure;
                    say("error " + Errors.forException(cause).code() + " " + cause.getMessage());
                }
            }
        }
    }

    public static void main(String[] words) throws Exception {
        if (words[0].equals("member")) {
            member(words[1]);
        } else {
            admin();
        }
        System.exit(0);
    }
}
