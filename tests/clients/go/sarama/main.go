// Sarama as one of the clients (see ../../README.md), with the protocol version that it has by default.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"github.com/IBM/sarama"
	. "sluice.test/clients/program"
)

var codecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
	"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

func config() *sarama.Config {
	config := sarama.NewConfig()
	config.Metadata.Retry.Max = 1000
	config.Metadata.Retry.Backoff = 100 * time.Millisecond
	return config
}

func produce(options Options) {
	config := config()
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Compression = codecs[options["codec"]]
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Flush.Frequency = 5 * time.Millisecond
	config.Producer.Retry.Max = 1000
	config.Producer.Retry.Backoff = 100 * time.Millisecond
	if options.Bool("idempotent", false) {
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
	}
	producer, err := sarama.NewAsyncProducer([]string{options["bootstrap"]}, config)
	Check(err)
	// Every record has its answer before the producer is closed: closing gives up what waits for a retry.
	var answers, readers sync.WaitGroup
	readers.Go(func() {
		for message := range producer.Successes() {
			Emit(Line{"ack": message.Metadata, "p": message.Partition, "o": message.Offset})
			answers.Done()
		}
	})
	readers.Go(func() {
		for failure := range producer.Errors() {
			Emit(Line{"failed": failure.Msg.Metadata, "error": failure.Err.Error()})
			answers.Done()
		}
	})
	options.Numbers(func(n int) {
		partition, key, value := Record(n)
		answers.Add(1)
		producer.Input() <- &sarama.ProducerMessage{
			Topic: options["topic"], Partition: partition, Key: sarama.ByteEncoder(key), Value: sarama.ByteEncoder(value), Metadata: n,
		}
	})
	answers.Wait()
	producer.AsyncClose()
	readers.Wait()
}

// member delivers what its group session gives it, up to a number of records over all partitions.
type member struct {
	wanted    int
	stop      context.CancelFunc
	lock      sync.Mutex
	delivered int
}

func (m *member) Setup(sarama.ConsumerGroupSession) error { return nil }

func (m *member) Cleanup(session sarama.ConsumerGroupSession) error {
	session.Commit()
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case <-session.Context().Done():
			return nil
		case message, open := <-claim.Messages():
			if !open || !m.deliver(message) {
				return nil
			}
			session.MarkMessage(message, "")
		}
	}
}

// deliver says whether the record was still wanted.
func (m *member) deliver(message *sarama.ConsumerMessage) bool {
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.wanted > 0 && m.delivered == m.wanted {
		return false
	}
	Emit(Line{"p": message.Partition, "o": message.Offset, "k": string(message.Key), "v": string(message.Value)})
	m.delivered++
	if m.delivered == m.wanted {
		m.stop()
	}
	return true
}

func consume(options Options) {
	running, stop := Stopped()
	defer stop()
	config := config()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Return.Errors = true
	group, err := sarama.NewConsumerGroup([]string{options["bootstrap"]}, options["group"], config)
	Check(err)
	go func() {
		for err := range group.Errors() {
			Emit(Line{"note": err.Error()})
		}
	}()
	member := &member{wanted: options.Int("count"), stop: stop}
	for running.Err() == nil {
		if err := group.Consume(running, []string{options["topic"]}, member); errors.Is(err, sarama.ErrClosedConsumerGroup) {
			break
		} else if err != nil {
			Emit(Line{"note": err.Error()})
			time.Sleep(100 * time.Millisecond)
		}
	}
	Check(group.Close())
}

func main() {
	sarama.Logger = log.New(os.Stderr, "", log.LstdFlags)
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
