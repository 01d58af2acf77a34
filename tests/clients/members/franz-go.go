// variant: 1.7.0 lacks: consumer group: * | the new protocol is newer
// variant: 1.22.2 lacks: consumer group: static member | its way back into the group moves partitions of others, on every broker
// variant: 1.7.0 lacks: describe consumer group | the new protocol is newer
//
// A member of a group, or an administrator, by franz-go.

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var background = context.Background()

type options struct {
	Group, Pattern, Protocol, Instance, Assignor string
	Topics                                       []string
	Committed                                    bool
	Session                                      int
}

type places = map[string][]int32

func member(wanted options) {
	var lock sync.Mutex
	owned := map[string]bool{}
	change := func(found places, mine bool) {
		lock.Lock()
		defer lock.Unlock()
		for name, partitions := range found {
			for _, partition := range partitions {
				if place := fmt.Sprintf("%s/%d", name, partition); mine {
					owned[place] = true
				} else {
					delete(owned, place)
				}
			}
		}
		all := []string{}
		for place := range owned {
			all = append(all, place)
		}
		sort.Strings(all)
		fmt.Println("owns", strings.Join(all, " "))
	}
	assigned := func(_ context.Context, _ *kgo.Client, found places) { change(found, true) }
	revoked := func(_ context.Context, _ *kgo.Client, found places) { change(found, false) }
	isolation, balancer := kgo.ReadUncommitted(), kgo.RangeBalancer()
	if wanted.Committed {
		isolation = kgo.ReadCommitted()
	}
	if wanted.Assignor == "cooperative" {
		balancer = kgo.CooperativeStickyBalancer()
	}
	settings := []kgo.Opt{
		kgo.SeedBrokers(broker), kgo.ConsumerGroup(wanted.Group), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.OnPartitionsAssigned(assigned),
		kgo.OnPartitionsRevoked(revoked), kgo.OnPartitionsLost(revoked), kgo.MetadataMaxAge(time.Second),
		kgo.MetadataMinAge(100 * time.Millisecond), kgo.FetchMaxWait(100 * time.Millisecond), kgo.FetchIsolationLevel(isolation),
		kgo.SessionTimeout(time.Duration(wanted.Session) * time.Millisecond), kgo.HeartbeatInterval(500 * time.Millisecond),
	}
	if wanted.Instance != "" {
		settings = append(settings, kgo.InstanceID(wanted.Instance))
	}
	if wanted.Pattern != "" {
		settings = append(settings, kgo.ConsumeRegex(), kgo.ConsumeTopics(wanted.Pattern))
	} else {
		settings = append(settings, kgo.ConsumeTopics(wanted.Topics...))
	}
	if wanted.Protocol == "consumer" {
		settings = append(settings, newProtocol())
	} else {
		settings = append(settings, kgo.Balancers(balancer))
	}
	client := must(kgo.NewClient(settings...))
	words := make(chan string)
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			words <- lines.Text()
		}
		close(words)
	}()
	for {
		limited, cancel := context.WithTimeout(background, 50*time.Millisecond)
		client.PollFetches(limited).EachRecord(func(each *kgo.Record) {
			fmt.Printf("read %s/%d %d %s\n", each.Topic, each.Partition, each.Offset, each.Value)
		})
		cancel()
		select {
		case word := <-words:
			if word != "commit" {
				client.Close()
				return
			}
			if err := client.CommitUncommittedOffsets(background); err != nil {
				fmt.Println("refused", err)
			} else {
				fmt.Println("committed")
			}
		default:
		}
	}
}

// === what an administrator asks ===

func answer(admin *kadm.Client, words []string) any {
	group, place, metadata := words[1], kadm.Offsets{}, ""
	if len(words) > 5 {
		metadata = words[5]
	}
	if len(words) > 4 {
		at := kadm.Offset{Topic: words[2], Partition: int32(must(strconv.Atoi(words[3]))),
			At: int64(must(strconv.Atoi(words[4]))), LeaderEpoch: -1, Metadata: metadata}
		place.Add(at)
	}
	switch words[0] {
	case "groups":
		return must(admin.ListGroups(background)).Groups()
	case "describe":
		return describe(admin, group)
	case "delete":
		done(must(admin.DeleteGroups(background, group))[group].Err)
	case "offsets":
		found := map[string]int64{}
		must(admin.FetchOffsets(background, group)).Each(func(each kadm.OffsetResponse) {
			found[fmt.Sprintf("%s/%d", each.Topic, each.Partition)] = each.At
		})
		return found
	case "ends":
		found := map[string]int64{}
		must(admin.ListEndOffsets(background, group)).Each(func(each kadm.ListedOffset) {
			found[fmt.Sprintf("%s/%d", each.Topic, each.Partition)] = each.Offset
		})
		return found
	case "alter", "commit":
		done(must(admin.CommitOffsets(background, group, place)).Error())
	case "forget":
		gone := kadm.TopicsSet{}
		gone.Add(words[2], int32(must(strconv.Atoi(words[3]))))
		must(admin.DeleteOffsets(background, group, gone)).EachError(func(_ string, _ int32, err error) { done(err) })
	case "committed":
		found, there := must(admin.FetchOffsets(background, group)).Lookup(words[2], int32(must(strconv.Atoi(words[3]))))
		if !there {
			return []any{-1, nil}
		}
		return []any{found.At, found.Metadata}
	}
	return nil
}

func describe(admin *kadm.Client, group string) any {
	found := must(admin.DescribeGroups(background, group))[group]
	if found.Err != nil || found.State == "Dead" {
		// It does not look by itself in the other protocol.
		return describeNew(admin, group)
	}
	members := [][]string{}
	for _, each := range found.Members {
		mine := []string{}
		if assigned, is := each.Assigned.AsConsumer(); is {
			for _, topic := range assigned.Topics {
				mine = append(mine, names(topic.Topic, topic.Partitions)...)
			}
		}
		members = append(members, mine)
	}
	return map[string]any{"state": strings.ToLower(found.State), "members": members}
}

func names(topic string, partitions []int32) []string {
	found := []string{}
	for _, partition := range partitions {
		found = append(found, fmt.Sprintf("%s/%d", topic, partition))
	}
	return found
}

func try(admin *kadm.Client, words []string) {
	defer func() {
		if failure := recover(); failure != nil {
			err, _ := failure.(error)
			var known *kerr.Error
			var parts *kadm.ShardErrors
			if errors.As(err, &parts) {
				err = parts.Errs[0].Err
			}
			if errors.As(err, &known) {
				fmt.Println("error", known.Code, known.Message)
				return
			}
			panic(failure)
		}
	}()
	fmt.Println("ok", string(must(json.Marshal(answer(admin, words)))))
}

func main() {
	if os.Args[1] == "member" {
		var wanted options
		done(json.Unmarshal([]byte(os.Args[2]), &wanted))
		member(wanted)
		return
	}
	admin := kadm.NewClient(must(kgo.NewClient(kgo.SeedBrokers(broker))))
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		try(admin, append(strings.Fields(lines.Text()), "")[:max(2, len(strings.Fields(lines.Text())))])
	}
}
