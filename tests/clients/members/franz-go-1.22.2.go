// What only this release has.

package main

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func newProtocol() kgo.Opt { return kgo.ServerSideBalancer() }

func describeNew(admin *kadm.Client, group string) any {
	found := must(admin.DescribeConsumerGroups(background, group))[group]
	done(found.Err)
	members := [][]string{}
	for _, each := range found.Members {
		mine := []string{}
		for topic, partitions := range each.Assignment {
			for partition := range partitions {
				mine = append(mine, names(topic, []int32{partition})...)
			}
		}
		members = append(members, mine)
	}
	return map[string]any{"state": strings.ToLower(found.State), "members": members}
}
