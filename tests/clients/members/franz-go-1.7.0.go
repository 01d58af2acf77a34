// What this release has not.

package main

import (
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func newProtocol() kgo.Opt { panic("no new protocol") }

func describeNew(*kadm.Client, string) any { panic("no group") }
