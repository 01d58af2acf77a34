// What the clients written in Go share: behaviours as functions, and the lines that tell how they went.
//
// A behaviour fails by a panic, so that the scripts read as a list of what must hold.

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand"
	"net"
	"os"
	"reflect"
	"runtime"
	"strings"
	"time"
)

var (
	broker     = os.Getenv("BROKER")
	behaviours []told
)

// How long anything may take on a busy machine.
const patience = 60 * time.Second

type told struct {
	name   string
	action func()
	why    string
}

// A behaviour that cannot be tried in this run.
type cannotTry string

// behaviour names a behaviour and the function that shows it.
func behaviour(name string, action func()) {
	behaviours = append(behaviours, told{name: name, action: action})
}

// lacks tells that this client has no such thing.
func lacks(name, why string) {
	behaviours = append(behaviours, told{name: name, why: why})
}

// topic is a name that no earlier run has used.
func topic(name string) string {
	return fmt.Sprintf("go-%s-%d-%d", strings.ReplaceAll(name, " ", "-"), os.Getpid(), time.Now().UnixNano())
}

func short(value any) string {
	text := fmt.Sprintf("%+v", value)
	if len(text) > 300 {
		text = fmt.Sprintf("%s… (%d characters)", text[:280], len(text))
	}
	return text
}

// equal tells null bytes from empty ones, which reflect.DeepEqual does.
func equal(found, expected any, what string) {
	if !reflect.DeepEqual(found, expected) {
		panic(fmt.Sprintf("%s is %s, not %s", what, short(found), short(expected)))
	}
}

func check(holds bool, what any) {
	if !holds {
		panic(fmt.Sprintf("not so: %s", short(what)))
	}
}

// done fails when there is an error.
func done(err error) {
	if err != nil {
		panic(err)
	}
}

// must is the value, unless there is an error.
func must[T any](value T, err error) T {
	done(err)
	return value
}

// until asks until the answer is true; for what a broker may do a moment later.
func until(what string, condition func() bool) {
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(50 * time.Millisecond) {
		check(time.Now().Before(deadline), what+" within "+patience.String())
	}
}

// random bytes that no codec makes smaller, the same for the same size.
func random(size int) []byte {
	value := make([]byte, size)
	rand.New(rand.NewSource(int64(size))).Read(value)
	return value
}

// sequence is the numbers from one to before another, as int64 for offsets.
func sequence(from, to int64) []int64 {
	numbers := []int64{}
	for ; from < to; from++ {
		numbers = append(numbers, from)
	}
	return numbers
}

// numbered is as many values, each the decimal digits of its place.
func numbered(count int) [][]byte {
	values := [][]byte{}
	for n := 0; n < count; n++ {
		values = append(values, []byte(fmt.Sprint(n)))
	}
	return values
}

func sameBytes(found, expected [][]byte, what string) {
	equal(len(found), len(expected), "the number of "+what)
	for n := range found {
		if !bytes.Equal(found[n], expected[n]) || (found[n] == nil) != (expected[n] == nil) {
			panic(fmt.Sprintf("%s %d of %d bytes is not the one of %d bytes", what, n, len(found[n]), len(expected[n])))
		}
	}
}

// restartable borrows a broker that may be restarted (see README.md).
func restartable(action func(address string, restart func())) {
	place := os.Getenv("RESTART")
	if place == "" {
		panic(cannotTry("this run has no broker that may be restarted"))
	}
	connection := must(net.Dial("tcp", place))
	defer connection.Close()
	answers := bufio.NewReader(connection)
	line := func() string { return strings.TrimSpace(must(answers.ReadString('\n'))) }
	action(line(), func() {
		must(fmt.Fprintln(connection, "restart"))
		equal(line(), "done", "the answer to the restart")
	})
}

// tellAll runs every behaviour and prints a line for each; it ends the process.
func tellAll() {
	status := 0
	for _, each := range behaviours {
		if !strings.Contains(each.name, os.Getenv("ONLY")) {
			continue
		}
		word, reason := "lacks", each.why
		if each.action != nil {
			word, reason = outcome(each.action)
		}
		if word == "fail" {
			status = 1
		}
		fmt.Println(strings.TrimSpace(word + "\t" + each.name + "\t" + reason))
	}
	os.Exit(status)
}

func outcome(action func()) (word, reason string) {
	defer func() {
		switch failure := recover().(type) {
		case nil:
		case cannotTry:
			word, reason = "skip", string(failure)
		default:
			text := strings.Join(strings.Fields(fmt.Sprintf("%s: %v", place(), failure)), " ")
			word, reason = "fail", text[:min(len(text), 600)]
		}
	}()
	action()
	return "ok", ""
}

// place is the lines of the script that were being run when it failed.
func place() string {
	var lines []string
	for depth := 2; depth < 20; depth++ {
		_, file, line, known := runtime.Caller(depth)
		if known && strings.HasSuffix(file, "suite.go") {
			lines = append(lines, fmt.Sprint(line))
		}
	}
	return "line " + strings.Join(lines, " < ")
}
