//! The load, through librdkafka: a paced stream with its latency from send to receipt, and bulk both ways.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

use crate::report::Quantiles;

type Failure = Box<dyn std::error::Error>;

const PATIENCE: Duration = Duration::from_secs(120);

fn producer(bootstrap: &str, linger_ms: &str) -> Result<BaseProducer, Failure> {
    Ok(ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("acks", "all")
        .set("linger.ms", linger_ms)
        .set("queue.buffering.max.messages", "1000000")
        .set("queue.buffering.max.kbytes", "262144")
        .create()?)
}

fn consumer(bootstrap: &str, topic: &str, from: Offset) -> Result<BaseConsumer, Failure> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("fetch.min.bytes", "1")
        .set("queued.min.messages", "100000")
        .create()?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, from)?;
    consumer.assign(&list)?;
    Ok(consumer)
}

/// One record to make the topic and to warm both connections.
fn make_topic(producer: &BaseProducer, topic: &str) -> Result<(), Failure> {
    producer.send(BaseRecord::<(), [u8]>::to(topic).payload(&[0u8; 8])).map_err(|(error, _)| error)?;
    Ok(producer.flush(PATIENCE)?)
}

/// `rate` records a second for `time`; the time of each from `send` to its receipt by a consumer.
pub fn end_to_end(bootstrap: &str, topic: &str, rate: u64, size: usize, time: Duration) -> Result<Quantiles, Failure> {
    let producer = producer(bootstrap, "0")?;
    make_topic(&producer, topic)?;
    let consumer = consumer(bootstrap, topic, Offset::Beginning)?;
    consumer.poll(PATIENCE).ok_or("the first record did not arrive")??;
    let count = rate * time.as_secs();
    let epoch = Instant::now();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let receiver = scope.spawn(|| receive(&consumer, count, epoch));
        let poller = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                producer.poll(Duration::from_millis(100));
            }
        });
        let mut payload = vec![7u8; size.max(8)];
        for number in 0..count {
            let due = epoch + Duration::from_nanos(number * 1_000_000_000 / rate);
            if let Some(wait) = due.checked_duration_since(Instant::now()) {
                std::thread::sleep(wait);
            }
            payload[..8].copy_from_slice(&(epoch.elapsed().as_nanos() as u64).to_le_bytes());
            producer.send(BaseRecord::<(), [u8]>::to(topic).payload(&payload)).map_err(|(error, _)| error)?;
        }
        let times = receiver.join().map_err(|_| "the receiver ended abnormally")?;
        stop.store(true, Ordering::Relaxed);
        poller.join().map_err(|_| "the poller ended abnormally")?;
        Ok(Quantiles::of(times.map_err(|reason| -> Failure { reason.into() })?))
    })
}

/// As `end_to_end`, over many partitions in turn: the topic is made first, the consumer reads all of them. From 20,000 a
/// second on records go in batches of 16 KiB.
pub fn spread(
    bootstrap: &str,
    topic: &str,
    partitions: i32,
    rate: u64,
    size: usize,
    time: Duration,
) -> Result<Quantiles, Failure> {
    create(bootstrap, topic, partitions)?;
    let in_batches = rate >= 20_000;
    let (producer, consumer) = spread_clients(bootstrap, topic, partitions, in_batches)?;
    // One record a partition, so that every connection, fetch and epoch is warm.
    let mut payload = vec![7u8; size.max(8)];
    payload[..8].fill(0);
    for partition in 0..partitions {
        let record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(&payload);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(PATIENCE)?;
    for _ in 0..partitions {
        consumer.poll(PATIENCE).ok_or("a first record did not arrive")??;
    }
    let count = rate * time.as_secs();
    // A batch of 16 KiB is what one partition gets at once.
    let run = if in_batches { 15 } else { 1 };
    let epoch = Instant::now();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let receiver = scope.spawn(|| receive(&consumer, count, epoch));
        let poller = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                producer.poll(Duration::from_millis(100));
            }
        });
        let mut dice = 88_172_645_463_325_252u64;
        let mut partition = 0;
        for number in 0..count {
            if number % run == 0 {
                let due = epoch + Duration::from_nanos(number * 1_000_000_000 / rate);
                if let Some(wait) = due.checked_duration_since(Instant::now()) {
                    std::thread::sleep(wait);
                }
                // xorshift64: a random partition for each batch.
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                partition = (dice % partitions as u64) as i32;
            }
            payload[..8].copy_from_slice(&(epoch.elapsed().as_nanos() as u64).to_le_bytes());
            let record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(&payload);
            producer.send(record).map_err(|(error, _)| error)?;
        }
        let times = receiver.join().map_err(|_| "the receiver ended abnormally")?;
        stop.store(true, Ordering::Relaxed);
        poller.join().map_err(|_| "the poller ended abnormally")?;
        Ok(Quantiles::of(times.map_err(|reason| -> Failure { reason.into() })?))
    })
}

/// A producer, and a consumer of every partition.
fn spread_clients(
    bootstrap: &str,
    topic: &str,
    partitions: i32,
    in_batches: bool,
) -> Result<(BaseProducer, BaseConsumer), Failure> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("acks", "all")
        .set("linger.ms", if in_batches { "5" } else { "0" })
        .set("batch.size", "16384")
        .set("queue.buffering.max.messages", "1000000")
        .create()?;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("fetch.min.bytes", "1")
        .create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    Ok((producer, consumer))
}

/// Reads a topic from its beginning to its end, or until `stop`; `read` counts bytes.
pub fn read_all(bootstrap: &str, topic: &str, count: u64, stop: &AtomicBool, read: &AtomicU64) -> Result<(), Failure> {
    let consumer = consumer(bootstrap, topic, Offset::Beginning)?;
    for _ in 0..count {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let record = consumer.poll(PATIENCE).ok_or("a record did not arrive")??;
        read.fetch_add(record.payload().map_or(0, <[u8]>::len) as u64, Ordering::Relaxed);
    }
    Ok(())
}

/// Makes a topic.
pub fn create(bootstrap: &str, topic: &str, partitions: i32) -> Result<(), Failure> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    let wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    for made in futures::executor::block_on(admin.create_topics([&wanted], &options))? {
        made.map_err(|(name, code)| format!("cannot make {name}: {code}"))?;
    }
    Ok(())
}

fn receive(consumer: &BaseConsumer, count: u64, epoch: Instant) -> Result<Vec<Duration>, String> {
    let mut times = Vec::with_capacity(count as usize);
    while (times.len() as u64) < count {
        let record = consumer.poll(PATIENCE).ok_or("a record did not arrive")?.map_err(|error| error.to_string())?;
        let sent: [u8; 8] =
            record.payload().and_then(|value| value.get(..8)?.try_into().ok()).ok_or("a short record")?;
        times.push(epoch.elapsed().saturating_sub(Duration::from_nanos(u64::from_le_bytes(sent))));
    }
    Ok(times)
}

/// Time until `count` records are acknowledged.
pub fn produce(bootstrap: &str, topic: &str, count: u64, size: usize) -> Result<Duration, Failure> {
    let producer = producer(bootstrap, "5")?;
    make_topic(&producer, topic)?;
    let payload = vec![7u8; size];
    let start = Instant::now();
    for _ in 0..count {
        loop {
            match producer.send(BaseRecord::<(), [u8]>::to(topic).payload(&payload)) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
        producer.poll(Duration::ZERO);
    }
    producer.flush(PATIENCE)?;
    Ok(start.elapsed())
}

/// Time until `count` records have been read from the beginning.
pub fn consume(bootstrap: &str, topic: &str, count: u64) -> Result<Duration, Failure> {
    let consumer = consumer(bootstrap, topic, Offset::Beginning)?;
    consumer.poll(PATIENCE).ok_or("nothing to consume")??;
    let start = Instant::now();
    for _ in 0..count {
        consumer.poll(PATIENCE).ok_or("a record did not arrive")??;
    }
    Ok(start.elapsed())
}
