// Franz-go as one of the clients (see ../../README.md). Idempotent by default.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	. "sluice.test/clients/program"
)

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func produce(options Options) {
	settings := []kgo.Opt{
		kgo.SeedBrokers(options["bootstrap"]),
		kgo.AllowAutoTopicCreation(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(codecs[options["codec"]]),
		kgo.ProducerLinger(5 * time.Millisecond),
		kgo.UnknownTopicRetries(20),
	}
	if !options.Bool("idempotent", true) {
		settings = append(settings, kgo.DisableIdempotentWrite())
	}
	client, err := kgo.NewClient(settings...)
	Check(err)
	options.Numbers(func(n int) {
		partition, key, value := Record(n)
		record := &kgo.Record{Topic: options["topic"], Partition: partition, Key: key, Value: value}
		client.Produce(context.Background(), record, func(r *kgo.Record, err error) {
			if err != nil {
				Emit(Line{"failed": n, "error": err.Error()})
			} else {
				Emit(Line{"ack": n, "p": r.Partition, "o": r.Offset})
			}
		})
	})
	Check(client.Flush(context.Background()))
	client.Close()
}

func consume(options Options) {
	running, stop := Stopped()
	defer stop()
	wanted, delivered := options.Int("count"), 0
	commit := func(ctx context.Context, client *kgo.Client) {
		if err := client.CommitMarkedOffsets(ctx); err != nil {
			Emit(Line{"note": fmt.Sprintf("commit: %v", err)})
		}
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(options["bootstrap"]),
		kgo.ConsumerGroup(options["group"]),
		kgo.ConsumeTopics(options["topic"]),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.AutoCommitMarks(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsRevoked(func(ctx context.Context, client *kgo.Client, _ map[string][]int32) { commit(ctx, client) }),
	)
	Check(err)
	for running.Err() == nil && (wanted == 0 || delivered < wanted) {
		most := 10_000
		if wanted > 0 {
			most = wanted - delivered
		}
		fetches := client.PollRecords(running, most)
		fetches.EachRecord(func(r *kgo.Record) {
			Emit(Line{"p": r.Partition, "o": r.Offset, "k": string(r.Key), "v": string(r.Value)})
			client.MarkCommitRecords(r)
			delivered++
		})
		client.AllowRebalance()
	}
	commit(context.Background(), client)
	client.CloseAllowingRebalance()
}

func main() {
	FlushOften()
	action, options := Arguments()
	switch action {
	case "produce":
		produce(options)
	case "consume":
		consume(options)
	default:
		fmt.Fprintln(os.Stderr, "no such action:", action)
		os.Exit(2)
	}
	Emit(Line{"done": true})
	Flush()
}
