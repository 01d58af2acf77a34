// variant: 1.22.2 go: github.com/twmb/franz-go@v1.22.2
// variant: 1.22.2 go: github.com/twmb/franz-go/pkg/kadm@v1.19.0
// variant: 1.7.0 go: github.com/twmb/franz-go@v1.7.0
// variant: 1.7.0 go: github.com/twmb/franz-go/pkg/kadm@v1.2.1
//
// franz-go: the newest, and one of August 2022. What its admin package has not in both, or what that package does
// wrong in the old one (it sends DeleteRecords without any topic), is asked by the request itself.

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var (
	background = context.Background()
	client     = connect(broker)
	admin      = kadm.NewClient(client)
)

func connect(address string, options ...kgo.Opt) *kgo.Client {
	// Or else the admin client lists topics from what it knew up to five seconds ago.
	fresh := []kgo.Opt{kgo.SeedBrokers(address), kgo.MetadataMinAge(50 * time.Millisecond)}
	return must(kgo.NewClient(append(fresh, options...)...))
}

func soon() context.Context {
	limited, cancel := context.WithTimeout(background, patience)
	time.AfterFunc(patience, cancel)
	return limited
}

func refused(err error, expected error) {
	check(errors.Is(err, expected), fmt.Sprintf("%v is %v", err, expected))
}

// === topics ===

// attempt makes a topic; `configs` are keys and values in turn.
func attempt(with *kadm.Client, name string, partitions int32, replicas int16, configs ...string) error {
	settings := map[string]*string{}
	for n := 0; n < len(configs); n += 2 {
		settings[configs[n]] = &configs[n+1]
	}
	answers := must(with.CreateTopics(soon(), partitions, replicas, settings, name))
	return answers[name].Err
}

func createOn(with *kadm.Client, name string, partitions int32, configs ...string) string {
	done(attempt(with, name, partitions, 1, configs...))
	until(name+" is listed", func() bool { return must(with.ListTopics(soon())).Has(name) })
	return name
}

func create(name string, partitions int32, configs ...string) string {
	return createOn(admin, topic(name), partitions, configs...)
}

func describe(name string) kadm.TopicDetail {
	return must(admin.Metadata(soon(), name)).Topics[name]
}

func config(name, key string) string {
	answer := must(must(admin.DescribeTopicConfigs(soon(), name)).On(name, nil))
	for _, each := range answer.Configs {
		if each.Key == key {
			return each.MaybeValue()
		}
	}
	panic("no config " + key)
}

func alter(name string, change kadm.AlterConfig) error {
	return must(must(admin.AlterTopicConfigs(soon(), []kadm.AlterConfig{change}, name)).On(name, nil)).Err
}

// listOffset is what ListOffsets answers for a timestamp: the offset and the timestamp of its record.
func listOffset(name string, partition int32, timestamp int64) (int64, int64, error) {
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	one := kmsg.NewListOffsetsRequestTopic()
	one.Topic = name
	place := kmsg.NewListOffsetsRequestTopicPartition()
	place.Partition, place.Timestamp = partition, timestamp
	one.Partitions = append(one.Partitions, place)
	request.Topics = append(request.Topics, one)
	answer, err := request.RequestWith(soon(), client)
	if err != nil {
		return 0, 0, err
	}
	found := answer.Topics[0].Partitions[0]
	return found.Offset, found.Timestamp, kerr.ErrorForCode(found.ErrorCode)
}

// deleteTo answers with the low watermark.
func deleteTo(name string, offset int64) (int64, error) {
	request := kmsg.NewPtrDeleteRecordsRequest()
	request.TimeoutMillis = 15_000
	one := kmsg.NewDeleteRecordsRequestTopic()
	one.Topic = name
	place := kmsg.NewDeleteRecordsRequestTopicPartition()
	place.Offset = offset
	one.Partitions = append(one.Partitions, place)
	request.Topics = append(request.Topics, one)
	found := must(request.RequestWith(soon(), client)).Topics[0].Partitions[0]
	return found.LowWatermark, kerr.ErrorForCode(found.ErrorCode)
}

// === records ===

// sendTo produces with a client of its own; the offsets and the errors are in the order of the records.
func sendTo(address string, records []*kgo.Record, options ...kgo.Opt) ([]int64, []error) {
	all := append([]kgo.Opt{
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(20_000_000),
		kgo.ProducerLinger(50 * time.Millisecond), kgo.UnknownTopicRetries(2),
	}, options...)
	producer := connect(address, all...)
	defer producer.Close()
	offsets, failures := make([]int64, len(records)), make([]error, len(records))
	for n, record := range records {
		producer.Produce(background, record, func(told *kgo.Record, err error) {
			offsets[n], failures[n] = told.Offset, err
		})
	}
	done(producer.Flush(soon()))
	return offsets, failures
}

func produceTo(address string, records []*kgo.Record, options ...kgo.Opt) []int64 {
	offsets, failures := sendTo(address, records, options...)
	done(errors.Join(failures...))
	return offsets
}

func produce(records []*kgo.Record, options ...kgo.Opt) []int64 {
	return produceTo(broker, records, options...)
}

// records are those of one partition, 0.
func records(name string, values ...[]byte) []*kgo.Record {
	found := []*kgo.Record{}
	for _, value := range values {
		found = append(found, &kgo.Record{Topic: name, Value: value})
	}
	return found
}

func readerOf(address, name string, from map[int32]kgo.Offset, options ...kgo.Opt) *kgo.Client {
	places := map[string]map[int32]kgo.Offset{name: from}
	return connect(address, append([]kgo.Opt{kgo.ConsumePartitions(places)}, options...)...)
}

// take reads until there are as many records, or an error.
func take(reader *kgo.Client, count int) ([]*kgo.Record, error) {
	found, limit := []*kgo.Record{}, soon()
	for len(found) < count {
		fetches := reader.PollFetches(limit)
		found = append(found, fetches.Records()...)
		for _, each := range fetches.Errors() {
			return found, each.Err
		}
	}
	return found, nil
}

// consume reads everything of a topic, from an offset (or the start: -1) of each partition on.
func consume(name string, from int64, options ...kgo.Opt) []*kgo.Record {
	places, count := map[int32]kgo.Offset{}, int64(0)
	starts, ends := must(admin.ListStartOffsets(soon(), name)), must(admin.ListEndOffsets(soon(), name))
	done(ends.Error())
	for partition, end := range ends[name] {
		places[partition] = start
		if from >= 0 {
			places[partition] = kgo.NewOffset().At(from)
		}
		count += end.Offset - max(from, starts[name][partition].Offset)
	}
	reader := readerOf(broker, name, places, options...)
	defer reader.Close()
	return must(take(reader, int(count)))
}

var start = kgo.NewOffset().AtStart()

func values(found []*kgo.Record) [][]byte {
	all := [][]byte{}
	for _, record := range found {
		all = append(all, record.Value)
	}
	return all
}

func holds(name string, expected [][]byte) {
	sameBytes(values(consume(name, -1)), expected, "values")
}

func main() {
	behaviour("metadata", func() {
		name := create("metadata", 3)
		first, second := must(admin.Metadata(soon(), name)), must(admin.Metadata(soon(), name))
		check(first.Cluster != "", "a cluster id")
		equal(second.Cluster, first.Cluster, "the cluster id")
		equal(first.Brokers.NodeIDs(), second.Brokers.NodeIDs(), "the brokers")
		equal(first.Controller, first.Brokers.NodeIDs()[0], "the controller")
		equal(len(first.Topics[name].Partitions), 3, "partitions")
		first.Topics.EachPartition(func(each kadm.PartitionDetail) { equal(each.Leader, first.Controller, "the leader") })
	})
	behaviour("describe cluster", func() {
		answer := must(kmsg.NewPtrDescribeClusterRequest().RequestWith(soon(), client))
		equal(answer.ClusterID, must(admin.BrokerMetadata(soon())).Cluster, "the cluster id")
		check(len(answer.Brokers) == 1 && answer.Brokers[0].NodeID == answer.ControllerID, answer)
	})
	behaviour("automatic topic creation", func() {
		name := topic("automatic")
		produce(records(name, []byte("first")), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(20))
		holds(name, [][]byte{[]byte("first")})
	})
	behaviour("unknown topic", func() {
		name := topic("unknown")
		_, _, err := listOffset(name, 0, -1)
		refused(err, kerr.UnknownTopicOrPartition)
		refused(describe(name).Err, kerr.UnknownTopicOrPartition)
		_, failures := sendTo(broker, records(name, []byte("x")))
		refused(failures[0], kerr.UnknownTopicOrPartition)
		check(!must(admin.ListTopics(soon())).Has(name), "the questions created no topic")
	})
	behaviour("unknown partition", func() {
		name := create("partition", 1)
		_, _, err := listOffset(name, 7, -1)
		refused(err, kerr.UnknownTopicOrPartition)
		_, failures := sendTo(broker, []*kgo.Record{{Topic: name, Partition: 7}})
		check(failures[0] != nil, "a record to a partition that is not there fails")
	})
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		behaviour("codec "+codec, func() {
			name := create("codec-"+codec, 1)
			sent := [][]byte{}
			for size := 1; size < 2_000; size += 13 {
				sent = append(sent, random(size))
			}
			if codec != "none" {
				// 4 MiB go through a limit of 1 MiB only when they are compressed.
				sent = append(sent, []byte(strings.Repeat("all work and no play, ", 200_000)))
			}
			produce(records(name, sent...), kgo.ProducerBatchCompression(codecs[codec]))
			holds(name, sent)
		})
	}
	behaviour("keys", keys)
	behaviour("headers", headers)
	behaviour("null and empty values", func() {
		name := create("null", 1)
		produce([]*kgo.Record{
			{Topic: name, Key: []byte("k")}, {Topic: name, Key: []byte("k"), Value: []byte{}},
			{Topic: name}, {Topic: name, Key: []byte{}, Value: []byte{}},
		})
		holds(name, [][]byte{nil, {}, nil, {}})
		found := consume(name, -1)
		equal([][]byte{found[2].Key, found[3].Key}, [][]byte{nil, {}}, "the keys")
	})
	behaviour("sizes 1 B to 10 MiB", func() {
		name, sent := create("sizes", 1, "max.message.bytes", "12000000"), [][]byte{}
		for _, size := range []int{1, 2, 100, 4_095, 65_537, 1 << 20, 10 << 20} {
			sent = append(sent, random(size))
		}
		produce(records(name, sent...), kgo.ProducerBatchMaxBytes(11_000_000))
		// Fetch limits far below the records: at least one whole batch comes all the same.
		found := consume(name, -1, kgo.FetchMaxBytes(1_000), kgo.FetchMaxPartitionBytes(1_000))
		sameBytes(values(found), sent, "values")
	})
	behaviour("message too large", func() {
		name := create("large", 1, "max.message.bytes", "10000")
		_, failures := sendTo(broker, records(name, random(20_000)))
		refused(failures[0], kerr.MessageTooLarge)
		equal(produce(records(name, random(9_000))), []int64{0}, "the offset")
		holds(name, [][]byte{random(9_000)})
	})
	levels := map[string]kgo.Acks{"0": kgo.NoAck(), "1": kgo.LeaderAck(), "all": kgo.AllISRAcks()}
	for _, level := range []string{"0", "1", "all"} {
		behaviour("acks "+level, func() {
			name := create("acks-"+level, 1)
			offsets := produce(records(name, numbered(1_000)...), kgo.RequiredAcks(levels[level]),
				kgo.DisableIdempotentWrite())
			if level != "0" {
				equal(offsets, sequence(0, 1_000), "the offsets")
			}
			until("all are there", func() bool {
				end, _, err := listOffset(name, 0, -1)
				return err == nil && end == 1_000
			})
			holds(name, numbered(1_000))
		})
	}
	behaviour("idempotent producer", func() {
		name := create("idempotent", 1)
		offsets := produce(records(name, numbered(20_000)...), kgo.ProducerBatchMaxBytes(1<<10), kgo.ProducerLinger(0))
		equal(offsets, sequence(0, 20_000), "the offsets")
		holds(name, numbered(20_000))
	})
	behaviour("idempotent, 1 in flight", func() {
		// It has no setting for this with idempotence; waiting for each answer keeps to one.
		name, offsets := create("one", 1), []int64{}
		producer := connect(broker)
		defer producer.Close()
		all := records(name, numbered(2_000)...)
		for n := 0; n < len(all); n += 10 {
			for _, told := range producer.ProduceSync(soon(), all[n:n+10]...) {
				done(told.Err)
				offsets = append(offsets, told.Record.Offset)
			}
		}
		equal(offsets, sequence(0, 2_000), "the offsets")
		holds(name, numbered(2_000))
	})
	behaviour("offsets by time", offsetsByTime)
	behaviour("list offsets", listOffsets)
	behaviour("seek into a batch", func() {
		name := create("seek", 1)
		produce(records(name, numbered(1_000)...), kgo.ProducerBatchCompression(kgo.GzipCompression()))
		for _, offset := range []int64{1, 499, 998, 999} {
			found := consume(name, offset)
			equal(found[0].Offset, offset, "the first offset")
			sameBytes(values(found), numbered(1_000)[offset:], "values")
		}
		sameBytes(values(consume(name, 997)), numbered(1_000)[997:], "values")
	})
	behaviour("fetch waits for data", fetchWaits)
	behaviour("offset out of range", func() {
		name := create("range", 1)
		produce(records(name, []byte("a"), []byte("b")))
		_, err := deleteTo(name, 1)
		done(err)
		// It moves an offset beyond the end to the end by itself; below the start it asks as told.
		strict := readerOf(broker, name, map[int32]kgo.Offset{0: kgo.NewOffset().At(0)},
			kgo.ConsumeResetOffset(kgo.NoResetOffset()))
		defer strict.Close()
		found, err := take(strict, 1)
		if err == nil {
			equal(found[0].Offset, int64(1), "the nearest offset")
		} else {
			refused(err, kerr.OffsetOutOfRange)
		}
		sameBytes(values(consume(name, 0)), [][]byte{[]byte("b")}, "values after the reset")
	})
	behaviour("create topic", createTopic)
	behaviour("describe topics", func() {
		name := create("describe", 30)
		found := describe(name)
		for n, number := range found.Partitions.Numbers() {
			equal(number, int32(n), "a partition")
			equal(len(found.Partitions[number].ISR), 1, "its ISR")
		}
		equal(len(found.Partitions), 30, "partitions")
		check(found.ID != kadm.TopicID{}, "an id")
		equal(describe(name).ID, found.ID, "the id")
	})
	behaviour("create partitions", func() {
		name := create("more", 2)
		grow := func(count int) error {
			return must(must(admin.UpdatePartitions(soon(), count, name)).On(name, nil)).Err
		}
		produce(records(name, []byte("old")))
		done(grow(4))
		until("there are four", func() bool { return len(describe(name).Partitions) == 4 })
		equal(produce([]*kgo.Record{{Topic: name, Partition: 3}}), []int64{0}, "the offset in the new one")
		refused(grow(3), kerr.InvalidPartitions)
		refused(grow(4), kerr.InvalidPartitions)
	})
	behaviour("describe configs", describeConfigs)
	behaviour("alter configs", alterConfigs)
	behaviour("incremental alter configs", incrementalAlterConfigs)
	behaviour("append to config lists", func() {
		name, compact := create("lists", 1), "compact"
		done(alter(name, kadm.AlterConfig{Op: kadm.AppendConfig, Name: "cleanup.policy", Value: &compact}))
		until("compact is there", func() bool { return config(name, "cleanup.policy") == "delete,compact" })
		done(alter(name, kadm.AlterConfig{Op: kadm.SubtractConfig, Name: "cleanup.policy", Value: &compact}))
		until("compact is gone", func() bool { return config(name, "cleanup.policy") == "delete" })
	})
	behaviour("describe log dirs", func() {
		name, seen := create("dirs", 2), 0
		produce([]*kgo.Record{{Topic: name, Partition: 1, Value: random(10_000)}})
		for _, dirs := range must(admin.DescribeAllLogDirs(soon(), nil)) {
			for _, dir := range dirs {
				done(dir.Err)
				for partition, each := range dir.Topics[name] {
					check(each.Size >= int64(partition)*10_000, each)
					seen++
				}
			}
		}
		equal(seen, 2, "the partitions told")
	})
	behaviour("delete records", func() {
		name := create("records", 1)
		produce(records(name, numbered(10)...))
		low := must(deleteTo(name, 4))
		equal(low, int64(4), "the low watermark")
		holds(name, numbered(10)[4:])
		_, err := deleteTo(name, 11)
		refused(err, kerr.OffsetOutOfRange)
		equal(must(deleteTo(name, -1)), int64(10), "the low watermark at the end")
		equal(produce(records(name, []byte("next"))), []int64{10}, "the next offset")
	})
	behaviour("delete topic", func() {
		name := create("gone", 1)
		before := describe(name).ID
		produce(records(name, numbered(3)...))
		done(must(admin.DeleteTopics(soon(), name))[name].Err)
		until("the topic is gone", func() bool { return !must(admin.ListTopics(soon())).Has(name) })
		createOn(admin, name, 1)
		check(describe(name).ID != before, "another id")
		holds(name, [][]byte{})
		equal(produce(records(name, []byte("new"))), []int64{0}, "the first offset")
	})
	behaviour("keyless on compacted topic", func() {
		name := create("compact", 1, "cleanup.policy", "compact")
		_, failures := sendTo(broker, records(name, []byte("no key")))
		refused(failures[0], kerr.InvalidRecord)
		equal(produce([]*kgo.Record{{Topic: name, Key: []byte("key")}}), []int64{0}, "the offset")
	})
	behaviour("goes on after a restart", func() { restartable(goesOn) })
	behaviour("leader epoch after a restart", func() { restartable(leaderEpoch) })
	tellAll()
}

func keys() {
	name, sent := create("keys", 4), []*kgo.Record{}
	for n := 0; n < 100; n++ {
		sent = append(sent, &kgo.Record{Topic: name, Key: fmt.Appendf(nil, "k%d", n%5), Value: fmt.Append(nil, n)})
	}
	produce(sent, kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	found, places := map[string][][]byte{}, map[string]int32{}
	for _, each := range consume(name, -1) {
		key := string(each.Key)
		if place, known := places[key]; known {
			equal(each.Partition, place, "the partition of "+key)
		}
		places[key] = each.Partition
		found[key] = append(found[key], each.Value)
	}
	for key := 0; key < 5; key++ {
		expected := [][]byte{}
		for n := key; n < 100; n += 5 {
			expected = append(expected, fmt.Append(nil, n))
		}
		sameBytes(found[fmt.Sprintf("k%d", key)], expected, "values of a key")
	}
	other := create("keys-null", 1)
	produce([]*kgo.Record{{Topic: other}, {Topic: other, Key: []byte{}}})
	two := consume(other, -1)
	equal([][]byte{two[0].Key, two[1].Key}, [][]byte{nil, {}}, "the keys")
}

func headers() {
	name := create("headers", 1)
	sent := []kgo.RecordHeader{
		{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2")}, {Key: "null"},
		{Key: "empty", Value: []byte{}}, {Key: "ключ", Value: []byte("значение")}, {Key: "a", Value: []byte("3")},
	}
	produce([]*kgo.Record{{Topic: name, Headers: sent}, {Topic: name}})
	found := consume(name, -1)
	equal(found[0].Headers, sent, "the headers")
	equal(len(found[1].Headers), 0, "headers of a record without")
}

func offsetsByTime() {
	name, begin := create("times", 1), time.Now().Add(-10*time.Minute).Truncate(time.Millisecond)
	sent := []*kgo.Record{}
	// One batch, so that the answer must be looked for inside it; times are not in order.
	for _, stamp := range []time.Duration{0, 10, 30, 20, 40} {
		sent = append(sent, &kgo.Record{Topic: name, Timestamp: begin.Add(stamp * time.Millisecond)})
	}
	produce(sent, kgo.ProducerLinger(500*time.Millisecond), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	for _, each := range [][2]int64{{0, 0}, {5, 1}, {11, 2}, {25, 2}, {31, 4}, {41, -1}} {
		offset, _, err := listOffset(name, 0, begin.UnixMilli()+each[0])
		done(err)
		equal(offset, each[1], fmt.Sprintf("the offset at start+%d", each[0]))
	}
	reader := readerOf(broker, name, map[int32]kgo.Offset{0: kgo.NewOffset().AfterMilli(begin.UnixMilli() + 31)})
	defer reader.Close()
	equal(must(take(reader, 1))[0].Offset, int64(4), "the first offset read")
}

func listOffsets() {
	name, begin := create("list", 1), time.Now().Truncate(time.Millisecond)
	sent := []*kgo.Record{}
	for _, stamp := range []time.Duration{0, 900, 300} {
		sent = append(sent, &kgo.Record{Topic: name, Timestamp: begin.Add(stamp * time.Millisecond)})
	}
	produce(sent)
	for _, each := range [][3]int64{{-2, 0, -1}, {-1, 3, -1}, {-3, 1, begin.UnixMilli() + 900}} {
		offset, timestamp, err := listOffset(name, 0, each[0])
		done(err)
		equal([2]int64{offset, timestamp}, [2]int64{each[1], each[2]}, fmt.Sprintf("what is listed for %d", each[0]))
	}
}

func fetchWaits() {
	name := create("wait", 1)
	produce(records(name, []byte("first")))
	reader := readerOf(broker, name, map[int32]kgo.Offset{0: start}, kgo.FetchMaxWait(30*time.Second))
	defer reader.Close()
	equal(must(take(reader, 1))[0].Offset, int64(0), "the first offset")
	began := time.Now()
	failures := make(chan error, 1)
	time.AfterFunc(time.Second, func() {
		_, errs := sendTo(broker, records(name, []byte("late")), kgo.ProducerLinger(0))
		failures <- errs[0]
	})
	equal(string(must(take(reader, 1))[0].Value), "late", "the value")
	waited := time.Since(began)
	done(<-failures)
	check(waited > 900*time.Millisecond && waited < 10*time.Second, fmt.Sprintf("it came in time: %v", waited))
}

func createTopic() {
	name := create("create", 5, "retention.ms", "3600000")
	equal(len(describe(name).Partitions), 5, "partitions")
	equal(config(name, "retention.ms"), "3600000", "retention.ms")
	refused(attempt(admin, name, 5, 1), kerr.TopicAlreadyExists)
	refused(attempt(admin, "not/a/name", 1, 1), kerr.InvalidTopicException)
	refused(attempt(admin, "..", 1, 1), kerr.InvalidTopicException)
	refused(attempt(admin, topic("zero"), 0, 1), kerr.InvalidPartitions)
	refused(attempt(admin, topic("many"), 1, 3), kerr.InvalidReplicationFactor)
	refused(attempt(admin, topic("bad"), 1, 1, "retention.ms", "soon"), kerr.InvalidConfig)
	refused(attempt(admin, topic("odd"), 1, 1, "no.such.config", "1"), kerr.InvalidConfig)
	dry := topic("dry")
	done(must(admin.ValidateCreateTopics(soon(), 1, 1, nil, dry))[dry].Err)
	check(!must(admin.ListTopics(soon())).Has(dry), "validation created no topic")
}

func describeConfigs() {
	name, own := create("configs", 1, "retention.ms", "1000000", "segment.bytes", "2000000"), map[string]string{}
	for _, each := range must(must(admin.DescribeTopicConfigs(soon(), name)).On(name, nil)).Configs {
		if each.Source == kmsg.ConfigSourceDynamicTopicConfig {
			own[each.Key] = each.MaybeValue()
		}
	}
	equal(own, map[string]string{"retention.ms": "1000000", "segment.bytes": "2000000"}, "the topic's own values")
	equal(config(name, "cleanup.policy"), "delete", "cleanup.policy")
	equal(config(name, "max.message.bytes"), "1048588", "max.message.bytes")
	node := must(admin.BrokerMetadata(soon())).Controller
	found := ""
	for _, each := range must(admin.DescribeBrokerConfigs(soon(), node))[0].Configs {
		if each.Key == "message.max.bytes" {
			found = each.MaybeValue()
		}
	}
	equal(found, "1048588", "message.max.bytes")
	missing := topic("missing")
	refused(must(must(admin.DescribeTopicConfigs(soon(), missing)).On(missing, nil)).Err, kerr.UnknownTopicOrPartition)
}

func alterConfigs() {
	name, value := create("alter", 1, "retention.ms", "1000000", "segment.bytes", "2000000"), "2000000"
	request := kmsg.NewPtrAlterConfigsRequest()
	resource := kmsg.NewAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, name
	entry := kmsg.NewAlterConfigsRequestResourceConfig()
	entry.Name, entry.Value = "retention.ms", &value
	resource.Configs = append(resource.Configs, entry)
	request.Resources = append(request.Resources, resource)
	answer := must(request.RequestWith(soon(), client))
	done(kerr.ErrorForCode(answer.Resources[0].ErrorCode))
	until("the new value is there", func() bool { return config(name, "retention.ms") == value })
	// What the set leaves out is no longer the topic's own.
	equal(config(name, "segment.bytes"), "1073741824", "segment.bytes")
}

func incrementalAlterConfigs() {
	name := create("incremental", 1, "retention.ms", "1000000", "segment.bytes", "2000000")
	limit, bad := "5000", "-5"
	done(alter(name, kadm.AlterConfig{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &limit}))
	done(alter(name, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: "retention.ms"}))
	until("the new values are there", func() bool {
		return config(name, "max.message.bytes") == "5000" && config(name, "retention.ms") == "604800000"
	})
	equal(config(name, "segment.bytes"), "2000000", "segment.bytes")
	_, failures := sendTo(broker, records(name, random(6_000)))
	refused(failures[0], kerr.MessageTooLarge)
	refused(alter(name, kadm.AlterConfig{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &bad}), kerr.InvalidConfig)
	equal(config(name, "max.message.bytes"), "5000", "max.message.bytes")
}

// goesOn: a producer and a consumer that were open before a restart lose and repeat nothing.
func goesOn(address string, restart func()) {
	producer := connect(address)
	defer producer.Close()
	name := createOn(kadm.NewClient(producer), topic("restart"), 1)
	reader := readerOf(address, name, map[int32]kgo.Offset{0: start})
	defer reader.Close()
	acknowledged, found := []int64{}, []int64{}
	for round := 0; round < 2; round++ {
		for _, record := range records(name, numbered(10)...) {
			acknowledged = append(acknowledged, must(producer.ProduceSync(soon(), record).First()).Offset)
		}
		for _, record := range must(take(reader, 10)) {
			found = append(found, record.Offset)
		}
		if round == 0 {
			restart()
		}
	}
	equal(acknowledged, sequence(0, 20), "the acknowledged offsets")
	equal(found, sequence(0, 20), "the offsets read")
}

// leaderEpoch: it has grown, and an offset of an epoch is valid up to its end, and truncated beyond.
func leaderEpoch(address string, restart func()) {
	with := connect(address)
	defer with.Close()
	name := createOn(kadm.NewClient(with), topic("epoch"), 1)
	produceTo(address, records(name, numbered(10)...))
	restart()
	produceTo(address, records(name, numbered(10)...))
	read := func(from kgo.Offset, count int) ([]*kgo.Record, error) {
		reader := readerOf(address, name, map[int32]kgo.Offset{0: from})
		defer reader.Close()
		return take(reader, count)
	}
	all := must(read(start, 20))
	first, second := all[0].LeaderEpoch, all[19].LeaderEpoch
	check(second > first, fmt.Sprintf("the epoch grew from %d to %d", first, second))
	for n, record := range all {
		equal(record.LeaderEpoch, map[bool]int32{true: first, false: second}[n < 10], "the epoch of a record")
	}
	equal(must(read(kgo.NewOffset().At(5).WithEpoch(first), 1))[0].Offset, int64(5), "the first offset")
	_, err := read(kgo.NewOffset().At(15).WithEpoch(first), 1)
	var loss *kgo.ErrDataLoss
	check(errors.As(err, &loss), fmt.Sprintf("the truncation is noticed: %v", err))
	equal([2]int64{loss.ConsumedTo, loss.ResetTo}, [2]int64{15, 10}, "what was lost")
}
