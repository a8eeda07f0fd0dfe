// Package program is what the client programs in Go share: their arguments, their lines, and the signal to stop
// (see ../../README.md).
package program

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Partitions of every topic of the scenarios.
const Partitions = 3

// Options are the program's arguments after the action.
type Options map[string]string

// Arguments returns the action and its options.
func Arguments() (string, Options) {
	options := Options{}
	for _, argument := range os.Args[2:] {
		key, value, _ := strings.Cut(argument, "=")
		options[key] = value
	}
	return os.Args[1], options
}

// Int is a number, 0 where the option is missing.
func (o Options) Int(key string) int {
	number, err := strconv.Atoi(o[key])
	if err != nil {
		return 0
	}
	return number
}

// Bool is true for "true" and, where the option is missing, for missing.
func (o Options) Bool(key string, missing bool) bool {
	if o[key] == "" {
		return missing
	}
	return o[key] == "true"
}

var (
	outLock sync.Mutex
	out     = bufio.NewWriter(os.Stdout)
)

// Line is one line of output.
type Line map[string]any

// Emit prints a line. Lines become visible within a moment, and all of them by Flush.
func Emit(line Line) {
	text, err := json.Marshal(line)
	Check(err)
	outLock.Lock()
	defer outLock.Unlock()
	_, _ = out.Write(append(text, '\n'))
	if out.Buffered() > 2048 {
		_ = out.Flush()
	}
}

// Flush makes every line visible.
func Flush() {
	outLock.Lock()
	defer outLock.Unlock()
	_ = out.Flush()
}

// FlushOften makes lines visible every few milliseconds, until the process ends.
func FlushOften() {
	go func() {
		for range time.Tick(5 * time.Millisecond) {
			Flush()
		}
	}()
}

// Record is record n's partition, key and value.
func Record(n int) (int32, []byte, []byte) {
	return int32(n % Partitions), []byte(strconv.Itoa(n)), []byte(fmt.Sprintf("%d %s", n, strings.Repeat("sluice ", 12)))
}

// Numbers calls send for every number, at `rate` a second where one is asked for, in bursts of 10 ms.
func (o Options) Numbers(send func(n int)) {
	first, count, rate := o.Int("first"), o.Int("count"), o.Int("rate")
	started := time.Now()
	for done := range count {
		if rate > 0 && done%max(1, rate/100) == 0 {
			time.Sleep(time.Duration(done)*time.Second/time.Duration(rate) - time.Since(started))
		}
		send(first + done)
	}
}

// Stopped is a context that ends when standard input has a line, or ends.
func Stopped() (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		stop()
	}()
	return ctx, stop
}

// Check ends the program on an error.
func Check(err error) {
	if err != nil {
		Flush()
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
