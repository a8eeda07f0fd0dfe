//! Every fixed bound of the broker, with its reason. Bounds that an operator may change are settings (`config.rs`).

use std::time::Duration;

/// A frame on the Kafka port, in bytes: Kafka's `socket.request.max.bytes`.
pub(crate) const FRAME_BYTES_MAX: usize = 100 * 1024 * 1024;
/// Produce requests of one connection that may wait for their sync at once (log contract, rule 7).
pub(crate) const PRODUCE_WAITING_MAX: usize = 16;
/// Bytes of those requests. A connection with more is not read until some are synced. One request may always wait, however
/// large it is.
pub(crate) const PRODUCE_WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Array elements and tagged fields of one request. Each takes about 150 bytes decoded, and may be a few bytes on the wire:
/// this bounds the decoded size. The largest real requests name some 10,000.
pub(crate) const REQUEST_ELEMENTS_MAX: usize = 200_000;
/// Bytes of a string in a request: Kafka's own decoder takes no longer one in any version (the readers that its
/// `MessageDataGenerator` generates: `length > 0x7fff` is refused), and older versions cannot even say more.
pub(crate) const REQUEST_STRING_BYTES_MAX: usize = 32_767;
/// Bytes of a topic's name in a request. A topic has 249 (Kafka's `Topic.MAX_NAME_LENGTH`); what is only somewhat longer is
/// answered with INVALID_TOPIC_EXCEPTION as Kafka answers it, so that whoever mistyped it hears why. What is longer than this
/// ends the connection while it is decoded: answers repeat names.
pub(crate) const REQUEST_TOPIC_BYTES_MAX: usize = 1_000;
/// Bytes of a client id: logs and group descriptions repeat it, groups keep it for each member. Real ones have some fifty.
pub(crate) const CLIENT_ID_BYTES_MAX: usize = 4_096;
/// What an unknown tagged field costs when it is decoded: a node of a map, whatever it holds.
pub(crate) const TAGGED_FIELD_BYTES: usize = 512;
/// A long poll of so many partitions costs about what its connection does, and is not counted.
pub(crate) const POLLED_PARTITIONS_FREE: usize = 16;
/// What one more of them holds while it waits: its place in the request, in the answer, and on the partition.
pub(crate) const POLLED_PARTITION_BYTES: usize = 256;
/// A client above its share of what waits gets its answer at once, and is not read for so long (KIP-219).
pub(crate) const POLL_PAUSE_MAX: Duration = Duration::from_millis(500);
/// Bytes of an answer on the Kafka port, file ranges and all: clients refuse a larger one (Java's `receive` takes what an `int`
/// says, librdkafka's `receive.message.max.bytes` is 100 MB), and nothing in it could be used. Fetch and requests with a
/// cursor stay below; any other answer that would pass it ends its connection.
pub(crate) const ANSWER_BYTES_MAX: usize = 100 * 1024 * 1024;
/// Errors of one answer that are told in words; the others have their code alone, as most of Kafka's own have. One sentence
/// of 400 bytes about a topic's name, repeated for each of 190,000 partitions, would be 76 MB.
pub(crate) const ERRORS_TOLD_MAX: usize = 100;
/// The longest pause between two pieces of a frame. A frame that trickles holds memory too, but that is a matter only when
/// somebody waits for it (`memory/`).
pub(crate) const FRAME_PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long connections may finish what is in flight when the broker stops, in ms.
pub(crate) const DRAIN_MS: u64 = 10_000;
/// How long the broker may take to stop in order after a vital task has failed.
pub(crate) const FAILED_DRAIN: Duration = Duration::from_secs(5);
/// The process ends at most this long after a vital task has failed, even if something hangs. A supervisor starts it again.
pub const FAILED_END: Duration = Duration::from_secs(8);
/// Bytes of a fetch answer: Kafka's `fetch.max.bytes` on the broker.
pub(crate) const FETCH_BYTES_MAX: usize = 55 * 1024 * 1024;
/// Up to this many bytes of a partition's records are copied into a fetch answer, because one system call for the whole answer
/// costs less. More are sent from their file.
pub(crate) const FETCH_COPIED_BYTES_MAX: usize = 16 * 1024;
/// Partitions that a fetch looks at in one go on a network thread, at about a microsecond each; more are read elsewhere.
pub(crate) const FETCH_LOOKS_AT_ONCE: usize = 500;
/// Bytes of a file that are sent at once: so long a connection keeps its thread.
pub(crate) const SEND_STEP_BYTES: usize = 256 * 1024;
/// What is opened of one batch at most: time, since opening holds a window and one record.
pub(crate) const DECOMPRESSED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Memory of one decoder: a raw snappy block of `MESSAGE_BYTES_MAX` opens to 22 MiB at most, and the windows of zstd are 8 MiB
/// up to level 19.
pub(crate) const OPENING_BYTES_MAX: usize = 32 * 1024 * 1024;
/// One record with the structs of its headers, where somebody holds it decoded (HTTP, delays); what is larger is told in its
/// place. Sixteen times what a producer sends by default.
pub(crate) const RECORD_OPENED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Of a batch that is opened, so much is looked at at once.
pub(crate) const RECORD_WINDOW_BYTES: usize = 64 * 1024;
/// Batches up to here are read as a whole; larger ones stay in their file while they are opened.
pub(crate) const BATCH_READ_BYTES_MAX: usize = 256 * 1024;
/// What is larger, or compressed, is looked through and built on other threads than the network's.
pub(crate) const INLINE_BYTES_MAX: usize = 64 * 1024;
/// A produced batch up to here is looked through where it arrives: about a millisecond at most.
pub(crate) const CHECKED_INLINE_BYTES_MAX: usize = MESSAGE_BYTES_MAX;
/// Batches that are opened, or compressed anew, at once, in each of the queues: produce, reads, look-ups by time.
pub(crate) const BATCHES_OPENED_AT_ONCE: usize = 2;
/// Bytes that a short opening may open (a few milliseconds). What has more to do begins again among the long ones.
pub(crate) const SHORT_OPENING_BYTES: usize = 4 * 1024 * 1024;
/// Openings that may wait in one queue; one more is refused.
pub(crate) const OPENINGS_WAITING_MAX: usize = 1_000;
/// Records of one batch that a refusal names, so that the answer is smaller than the refused batch.
pub(crate) const REJECTED_RECORDS_TOLD_MAX: usize = 100;
/// Records of one batch that are held as views at once. A view takes some 110 bytes, a record may take seven.
pub(crate) const RECORDS_VIEWED_MAX: usize = 1_000_000;
/// Kafka's `message.max.bytes`: a record batch with its 12 bytes of log overhead.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1_048_588;
/// One record batch header with its first record's minimum, in bytes (record batch v2).
pub const BATCH_HEADER_BYTES: usize = 61;
/// Batches whose offsets are remembered for each producer and partition (KIP-98: five, the most that may be in flight).
pub(crate) const PRODUCER_BATCHES_KEPT: usize = 5;
/// A client's producer that has written nothing to a partition for this long, in ms, is forgotten there: Kafka's
/// `producer.id.expiration.ms`. A producer that writes again later is new to the partition.
pub(crate) const PRODUCER_ID_EXPIRATION_MS: i64 = 86_400_000;
/// Producers that all partitions remember together, at 150 bytes (one batch) to 300 (five) each, before partitions that have their share refuse
/// more. Any client can invent producer ids; Kafka has no bound.
pub(crate) const PRODUCERS_MAX: usize = 200_000;
/// Producers that one partition remembers.
pub(crate) const PRODUCERS_PER_PARTITION_MAX: usize = 20_000;
/// The share that each partition has, however many the others remember.
pub(crate) const PRODUCERS_PER_PARTITION_MIN: usize = 32;
/// A producer that has been idle for so long is forgotten where room is needed: no client tries a batch again after
/// `delivery.timeout.ms`, which is two minutes by default, and what comes later goes on as a new producer's.
pub(crate) const PRODUCER_IDLE_MS_MIN: i64 = 900_000;
/// Bytes of a segment of the broker's own compacted topics: Kafka's `offsets.topic.segment.bytes`. What is in the active
/// segment is read at every start and cannot be compacted.
pub(crate) const COMPACTED_SEGMENT_BYTES: i64 = 100 * 1024 * 1024;
/// Bytes of keys, and of the data kept with each, that compaction holds at once: half a million short keys a pass. The next
/// pass takes the rest.
pub(crate) const CLEANER_KEYS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How often compaction looks for logs that need it: Kafka's `log.cleaner.backoff.ms`.
pub(crate) const CLEANER_CHECK: Duration = Duration::from_secs(15);
/// Bytes a second that compaction reads, so that requests are not kept waiting for the disk.
pub(crate) const CLEANER_BYTES_PER_S: u64 = 32 * 1024 * 1024;
/// Index entries of an active segment that are kept in memory, some 24 bytes each, before they are written to their files.
pub(crate) const INDEX_ENTRIES_KEPT_MAX: usize = 1_024;
/// The least distance of index entries, in bytes of log, whatever `index.interval.bytes` says: Kafka takes 0, which would be
/// an index larger than many logs.
pub(crate) const INDEX_INTERVAL_BYTES_MIN: u64 = 1_024;
/// Producer ids reserved by one metadata record (log contract, rule 6).
pub const PRODUCER_ID_BLOCK: i64 = 1_000;
/// Partitions of one topic that one request may create. Kafka has no bound; this catches typing mistakes.
pub const PARTITIONS_PER_TOPIC_MAX: i32 = 10_000;
/// Files that a new partition holds open: the log of its active segment and the two indexes. Each later segment holds one more.
pub(crate) const FILES_PER_PARTITION: u64 = 3;
/// The part of the limit of open files that new partitions leave to connections and to segments that are yet to come: a
/// quarter, and no more than this, which is some more than both ports take by default.
pub(crate) const FILES_KEPT_MAX: u64 = 16_384;
/// Bytes of one change in the metadata log. A topic with all its configs takes much less.
pub(crate) const METADATA_BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of one topic config value; a plugin's configuration is the longest.
pub(crate) const CONFIG_VALUE_BYTES_MAX: usize = 256 * 1024;
/// Bytes of all configs of one topic.
pub(crate) const CONFIGS_BYTES_MAX: usize = 1024 * 1024;
/// Partitions of `__consumer_offsets`: Kafka's `offsets.topic.num.partitions`.
pub(crate) const OFFSETS_PARTITIONS: i32 = 50;
/// Bytes of commit metadata: Kafka's `offset.metadata.max.bytes`.
pub(crate) const COMMIT_METADATA_BYTES_MAX: usize = 4_096;
/// Bytes of one batch of the groups' records, which the offsets topic's `max.message.bytes` allows. A group is one record
/// with all its members: five thousand of them with 800 bytes each are half of it, their assignments the other half.
pub(crate) const GROUP_BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Of it, what a group's members may bring along: their ids, hosts and the largest metadata of each. The rest is for what
/// the leader assigns. Beyond it a join is refused, so that a generation can be written.
pub(crate) const GROUP_MEMBERS_BYTES_MAX: usize = GROUP_BATCH_BYTES_MAX / 2;
/// Bytes of one join's protocols and their metadata: what Kafka can store of a lone member.
pub(crate) const JOIN_PROTOCOLS_BYTES_MAX: usize = MESSAGE_BYTES_MAX;
/// Protocols of one join, all of which every vote looks at; clients offer up to five.
pub(crate) const JOIN_PROTOCOLS_MAX: usize = 100;
/// Members of one group, with the ids that are promised to new ones. With more, a rebalance costs every member megabytes.
/// Kafka's `group.max.size` has no bound.
pub(crate) const GROUP_MEMBERS_MAX: usize = 10_000;
/// Groups at once. Each takes about a kilobyte, and any client can create one by naming it.
pub(crate) const GROUPS_MAX: usize = 100_000;
/// The shortest rebalance time-out of a member; a shorter one is taken as this. Kafka takes any, but with 0 every join and
/// sync phase is over as it begins: nobody can follow, and a group of absent static members begins one after the other.
pub(crate) const GROUP_REBALANCE_TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// No deadline of a group is nearer than this, whatever its members ask for: a deadline that is due as it is set is found
/// again by every pass of the timer.
pub(crate) const GROUP_DEADLINE_MIN: Duration = Duration::from_millis(1);
/// Groups that ListGroups looks at before others run: some 0.1 ms under the shard's lock.
pub(crate) const GROUPS_LISTED_AT_ONCE: usize = 1_000;
/// How long a new member may wait for its first generation: Kafka's `CLASSIC_GROUP_NEW_MEMBER_JOIN_TIMEOUT_MS`.
pub(crate) const GROUP_NEW_MEMBER_JOIN_MAX: Duration = Duration::from_secs(5 * 60);
/// How often committed offsets are looked through for expired ones: Kafka's `offsets.retention.check.interval.ms`.
pub(crate) const OFFSETS_RETENTION_CHECK: Duration = Duration::from_secs(10 * 60);
/// Tombstones of one batch: fewer bytes than `MESSAGE_BYTES_MAX`, even with the longest topic names.
pub(crate) const TOMBSTONES_PER_BATCH: usize = 500;
/// Bytes of the names in one batch of tombstones: group ids may have 32 KiB each.
pub(crate) const TOMBSTONE_NAMES_BYTES_MAX: usize = MESSAGE_BYTES_MAX / 4;
/// Groups and offsets that one command looks at when offsets are removed: about a millisecond under the shard's lock.
pub(crate) const SWEEP_OFFSETS_MAX: usize = 2_000;
/// The pause between two batches of tombstones that retention writes into one partition, because others commit there too.
pub(crate) const TOMBSTONE_BATCHES_PAUSE: Duration = Duration::from_secs(1);
/// Bytes read at once when the offsets topic is replayed at start.
pub(crate) const REPLAY_READ_BYTES: usize = 1024 * 1024;
/// Bytes of the headers that the broker adds to a record that it moves, in all: they do not count against the target's
/// `max.message.bytes` (rule 19). The longest is a topic name of 249 bytes; names and numbers take a few hundred more.
pub(crate) const OWN_HEADERS_BYTES_MAX: usize = 4_096;
/// Records of one delay step (delay contract, "The store").
pub(crate) const DELAY_STEP_RECORDS_MAX: usize = 1_000;
/// Bytes of one delay step.
pub(crate) const DELAY_STEP_BYTES_MAX: usize = 1024 * 1024;
/// One record of a delay topic, decoded: what is larger is a dead letter, and so it is whatever `memory_max_bytes` says, since
/// a step is repeated word for word.
pub(crate) const DELAY_RECORD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The window of a decoder for delays: a raw snappy block of a batch of `MESSAGE_BYTES_MAX`.
pub(crate) const DELAY_WINDOW_BYTES_MAX: usize = 24 * 1024 * 1024;
/// Delay steps in memory at once, over all delay topics. More due records wait.
pub(crate) const DELAY_STEPS_AT_ONCE: usize = 16;
/// Of these, steps that open much: one that runs, and the next.
pub(crate) const DELAY_LONG_READS_AT_ONCE: usize = 2;

const _: () = assert!(FAILED_DRAIN.as_millis() < FAILED_END.as_millis());
const _: () = assert!(MESSAGE_BYTES_MAX <= GROUP_BATCH_BYTES_MAX && GROUP_BATCH_BYTES_MAX <= FRAME_BYTES_MAX);
const _: () = assert!(REQUEST_TOPIC_BYTES_MAX <= REQUEST_STRING_BYTES_MAX);
const _: () = assert!(CLIENT_ID_BYTES_MAX <= REQUEST_STRING_BYTES_MAX);
const _: () = assert!(FETCH_BYTES_MAX < ANSWER_BYTES_MAX);
const _: () = assert!(PRODUCER_IDLE_MS_MIN < PRODUCER_ID_EXPIRATION_MS);
const _: () =
    assert!(PRODUCERS_PER_PARTITION_MIN < PRODUCERS_PER_PARTITION_MAX && PRODUCERS_PER_PARTITION_MAX < PRODUCERS_MAX);
const _: () = assert!(MESSAGE_BYTES_MAX <= FRAME_BYTES_MAX);
const _: () = assert!(22 * MESSAGE_BYTES_MAX <= OPENING_BYTES_MAX);
const _: () = assert!(RECORD_OPENED_BYTES_MAX <= DECOMPRESSED_BYTES_MAX);
const _: () = assert!(22 * MESSAGE_BYTES_MAX <= DELAY_WINDOW_BYTES_MAX);
const _: () = assert!(DELAY_RECORD_BYTES_MAX <= DELAY_STEPS_AT_ONCE * DELAY_STEP_BYTES_MAX);
const _: () = assert!(FETCH_BYTES_MAX <= FRAME_BYTES_MAX);
const _: () = assert!(FETCH_COPIED_BYTES_MAX < SEND_STEP_BYTES);
