// kafkajs as one of the clients (see ../README.md), with gzip, which it has, and snappy, which its
// users add. (LZ4 and zstd exist for it as native modules that no longer build.)
'use strict'
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')

const PARTITIONS = 3
const BURST_MS = 10
CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
const CODECS = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy }

const action = process.argv[2]
const options = Object.fromEntries(process.argv.slice(3).map(a => [a.slice(0, a.indexOf('=')), a.slice(a.indexOf('=') + 1)]))
const emit = line => process.stdout.write(JSON.stringify(line) + '\n')
const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

const kafka = new Kafka({
  clientId: 'kafkajs',
  brokers: [options.bootstrap],
  logLevel: logLevel.ERROR,
  logCreator: () => ({ log }) => process.stderr.write(`${log.message} ${log.error || ''}\n`),
  retry: { retries: 50, initialRetryTime: 100, maxRetryTime: 1000 },
})

async function produce() {
  const producer = kafka.producer()
  await producer.connect()
  const first = Number(options.first)
  const end = first + Number(options.count)
  const rate = Number(options.rate || 0)
  const burst = rate ? Math.max(1, Math.floor((rate * BURST_MS) / 1000)) : 1000
  for (let next = first; next < end; next += burst) {
    const numbers = Array.from({ length: Math.min(burst, end - next) }, (_, i) => next + i)
    const messages = numbers.map(n => ({ key: `${n}`, value: `${n} ${'sluice '.repeat(12)}`, partition: n % PARTITIONS }))
    // One request after the other: kafkajs promises no order between requests in flight.
    const results = await producer.send({ topic: options.topic, acks: -1, compression: CODECS[options.codec || 'none'], messages })
    const base = new Map(results.map(r => [r.partition, BigInt(r.baseOffset)]))
    for (const n of numbers) {
      const offset = base.get(n % PARTITIONS)
      base.set(n % PARTITIONS, offset + 1n)
      emit({ ack: n, p: n % PARTITIONS, o: Number(offset) })
    }
    if (rate) await pause(BURST_MS)
  }
  await producer.disconnect()
  emit({ done: true })
}

async function consume() {
  const wanted = Number(options.count || 0)
  const consumer = kafka.consumer({ groupId: options.group, maxWaitTimeInMs: 500, retry: { retries: 50, maxRetryTime: 1000 } })
  let delivered = 0
  let stop
  const stopped = new Promise(resolve => { stop = resolve })
  process.stdin.once('data', stop).once('end', stop).resume()
  await consumer.connect()
  await consumer.subscribe({ topics: [options.topic], fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch, resolveOffset, heartbeat, isRunning, isStale }) => {
      let next = null
      for (const message of batch.messages) {
        if (!isRunning() || isStale() || (wanted && delivered === wanted)) break
        emit({ p: batch.partition, o: Number(message.offset), k: message.key.toString(), v: message.value.toString() })
        resolveOffset(message.offset)
        next = (BigInt(message.offset) + 1n).toString()
        delivered += 1
      }
      if (next !== null) {
        try {
          await consumer.commitOffsets([{ topic: batch.topic, partition: batch.partition, offset: next }])
        } catch (error) {
          emit({ note: `commit: ${error.message}` })
        }
      }
      if (wanted && delivered === wanted) stop()
      await heartbeat()
    },
  })
  await stopped
  await consumer.disconnect()
  emit({ done: true })
}

const actions = { produce, consume }
// A client that has disconnected may keep timers; all lines are to be out before the end.
actions[action]().then(
  () => process.stdout.write('', () => process.exit(0)),
  error => process.stderr.write(`${error.stack}\n`, () => process.exit(1)),
)
