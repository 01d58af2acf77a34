// variant: 2.2.4 npm: kafkajs@2.2.4
// variant: 2.1.0 npm: kafkajs@2.1.0
// npm: kafkajs-snappy@1.1.0
// npm: lz4-napi@2.10.0
// npm: zstd-codec@0.1.5
//
// kafkajs: the newest, and one of 2022 (2.0 spins without end while its broker is away). It has gzip alone; the other
// codecs are registered as its manual says. It reads by consumer group only.
'use strict'

const crypto = require('crypto')
const {
  CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, Partitioners, logLevel,
} = require('kafkajs')
const SnappyCodec = require('kafkajs-snappy')
const lz4 = require('lz4-napi')
const { ZstdCodec } = require('zstd-codec')
const { BROKER, behaviour, lacks, topic, equal, check, until, restartable, tellAll } = require('../told.js')

CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec
// Not lz4js: its frames have blocks that depend on each other, which the Java clients cannot read and Kafka refuses.
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: encoder => lz4.compressFrame(encoder.buffer),
  decompress: buffer => lz4.decompressFrame(buffer),
})
const zstd = new Promise(resolve => ZstdCodec.run(binding => resolve(new binding.Simple())))
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from((await zstd).compress(encoder.buffer)),
  decompress: async buffer => Buffer.from((await zstd).decompress(buffer)),
})

const connect = address => new Kafka({ brokers: [address], clientId: 'suite', logLevel: logLevel.NOTHING })
const kafka = connect(BROKER)
const admin = kafka.admin()

// === what the behaviours are made of ===

const configEntries = configs => Object.entries(configs).map(([name, value]) => ({ name, value: String(value) }))

const create = async (name, partitions = 1, configs = {}, from = admin) => {
  const wanted = { topic: name, numPartitions: partitions, replicationFactor: 1, configEntries: configEntries(configs) }
  check(await from.createTopics({ topics: [wanted], waitForLeaders: false }), `${name} was there already`)
  // Kafka answers before every request knows the topic, and kafkajs's own wait then fails.
  await until(() => from.fetchTopicOffsets(name).then(() => true, () => false), `${name} is there`)
  return name
}

// The error types that an action fails with: kafkajs wraps them in several ways.
const typesOf = error => [error?.type, ...(error?.errors || []).flatMap(typesOf),
  ...(error?.partitions || []).flatMap(each => typesOf(each.error)), ...(error?.cause ? typesOf(error.cause) : [])]
  .filter(Boolean)

const refused = async (action, type) => {
  let answer
  try {
    answer = await action()
  } catch (error) {
    check(typesOf(error).includes(type), `${error.name} ${error.message} (${typesOf(error)}) is not ${type}`)
    return
  }
  throw new Error(`was accepted (${JSON.stringify(answer)}) instead of ${type}`)
}

const withProducer = async (options, action, from = kafka) => {
  const producer = from.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...options })
  await producer.connect()
  try {
    return await action(producer)
  } finally {
    await producer.disconnect()
  }
}

const produce = (name, messages, sending = {}, options = {}) =>
  withProducer(options, producer => producer.send({ topic: name, messages, ...sending }))

const numbers = (count, start = 0) => Array.from({ length: count }, (_, n) => ({ value: `${start + n}`, partition: 0 }))
const asNumbers = (count, start = 0) => numbers(count, start).map(each => each.value)

// Starts a consumer group of its own at an offset of each partition; `found` fills until `stop`.
const follow = async (name, { partitions = [0], offset = 0, from = kafka, ...options } = {}) => {
  const consumer = from.consumer({ groupId: topic('group'), maxWaitTimeInMs: 100, ...options })
  const found = []
  await consumer.connect()
  await consumer.subscribe({ topic: name, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      const headers = Object.entries(message.headers || {})
        .flatMap(([key, value]) => [value].flat().map(each => [key, each]))
      const { key, value, timestamp } = message
      found.push({ partition, offset: Number(message.offset), key, value, timestamp: Number(timestamp), headers })
    },
  })
  if (offset) partitions.forEach(partition => consumer.seek({ topic: name, partition, offset: String(offset) }))
  return { found, stop: () => consumer.disconnect() }
}

const offsets = async name => (await admin.fetchTopicOffsets(name)).sort((a, b) => a.partition - b.partition)

// Checks every record of a topic, in the order of partitions and offsets.
const reads = async (name, judge, options = {}) => {
  const wanted = (await offsets(name)).reduce((sum, each) => sum + Number(each.high) - Number(each.low), 0)
  const reader = await follow(name, options)
  try {
    await until(() => reader.found.length >= wanted, `${wanted} records read`)
  } finally {
    await reader.stop()
  }
  judge(reader.found.sort((a, b) => a.partition - b.partition || a.offset - b.offset))
}

const readsValues = (name, expected, options) => reads(name, records => {
  const same = records.length === expected.length && records.every((each, n) => each.value.equals(Buffer.from(expected[n])))
  check(same, `the ${records.length} values are not the ${expected.length} that were sent`)
}, options)

// === producing and reading ===

behaviour('metadata', async () => {
  const name = await create(topic('metadata'), 3)
  const [{ partitions }] = (await admin.fetchTopicMetadata({ topics: [name] })).topics
  equal(partitions.map(each => each.partitionId).sort(), [0, 1, 2], 'the partitions')
  const ids = (await admin.describeCluster()).brokers.map(each => each.nodeId)
  check(partitions.every(each => ids.includes(each.leader)), 'a leader is not among the brokers')
})

behaviour('describe cluster', async () => {
  const [first, second] = [await admin.describeCluster(), await admin.describeCluster()]
  equal(first, second, 'the cluster')
  check(first.clusterId && first.brokers.some(each => each.nodeId === first.controller), JSON.stringify(first))
})

behaviour('automatic topic creation', async () => {
  const name = topic('automatic')
  await produce(name, [{ value: 'first' }])
  await readsValues(name, ['first'])
})

behaviour('unknown topic', async () => {
  const name = topic('unknown')
  await refused(() => produce(name, [{ value: 'x' }], {}, { allowAutoTopicCreation: false, retry: { retries: 1 } }),
    'UNKNOWN_TOPIC_OR_PARTITION')
  await refused(() => admin.deleteTopics({ topics: [name] }), 'UNKNOWN_TOPIC_OR_PARTITION')
  check(!(await admin.listTopics()).includes(name), 'the question created the topic')
})

// It drops a record for a partition that nobody leads, and tells no offset for it.
behaviour('unknown partition', async () => {
  const name = await create(topic('partition'))
  const told = await produce(name, [{ value: 'x', partition: 7 }], {}, { retry: { retries: 1 } }).catch(() => [])
  equal(told, [], 'what was acknowledged')
})

for (const [codec, type] of Object.entries(
  { none: 'None', gzip: 'GZIP', snappy: 'Snappy', lz4: 'LZ4', zstd: 'ZSTD' })) {
  behaviour(`codec ${codec}`, async () => {
    const name = await create(topic(`codec-${codec}`))
    const sent = Array.from({ length: 200 }, (_, n) => crypto.randomBytes(1 + 9 * n))
    // 4 MiB go through a limit of 1 MiB only when they are compressed.
    if (codec !== 'none') sent.push(Buffer.from('all work and no play, '.repeat(200_000)))
    await produce(name, sent.map(value => ({ value, partition: 0 })), { compression: CompressionTypes[type] })
    await readsValues(name, sent)
  })
}

behaviour('keys', async () => {
  const name = await create(topic('keys'), 4)
  const keyed = Array.from({ length: 100 }, (_, n) => ({ key: `k${n % 5}`, value: `${n}` }))
  await produce(name, [...keyed, { key: null, value: 'null', partition: 0 }, { key: '', value: 'empty', partition: 0 }])
  await reads(name, records => {
    for (let key = 0; key < 5; key += 1) {
      const mine = records.filter(each => each.key?.toString() === `k${key}`)
      equal(mine.map(each => Number(each.value)), Array.from({ length: 20 }, (_, n) => key + 5 * n), 'order of a key')
      equal(new Set(mine.map(each => each.partition)).size, 1, 'partitions of a key')
    }
    const keyOf = value => records.find(each => each.value.toString() === value).key
    equal([keyOf('null'), keyOf('empty')?.length], [null, 0], 'the null key and the empty one')
  })
})

behaviour('headers', async () => {
  const name = await create(topic('headers'))
  // Its headers are an object, so that equal names stand together; a value cannot be null.
  const headers = { a: ['1', '2', '3'], empty: '', ключ: 'значение' }
  await produce(name, [{ value: 'x', headers, partition: 0 }, { value: 'without', partition: 0 }])
  await reads(name, ([first, second]) => {
    const expected = [['a', '1'], ['a', '2'], ['a', '3'], ['empty', ''], ['ключ', 'значение']]
    equal(first.headers.map(([key, value]) => [key, value.toString()]), expected, 'the headers')
    equal(second.headers, [], 'the headers of a record without')
  })
})

behaviour('null and empty values', async () => {
  const name = await create(topic('null'))
  const sent = [['k', null], ['k', ''], [null, null], ['', '']]
  await produce(name, sent.map(([key, value]) => ({ key, value, partition: 0 })))
  await reads(name, records => equal(
    records.map(each => [each.key && each.key.toString(), each.value && each.value.toString()]), sent, 'keys and values'))
})

behaviour('sizes 1 B to 10 MiB', async () => {
  const name = await create(topic('sizes'), 1, { 'max.message.bytes': 12_000_000 })
  const sent = [1, 2, 100, 4_095, 65_537, 1 << 20, 10 << 20].map(size => crypto.randomBytes(size))
  await withProducer({}, async producer => {
    for (const value of sent) await producer.send({ topic: name, messages: [{ value, partition: 0 }] })
  })
  // A fetch limit far below the records: at least one whole batch comes all the same.
  await readsValues(name, sent, { maxBytesPerPartition: 1_000, maxBytes: 1_000 })
})

behaviour('message too large', async () => {
  const name = await create(topic('large'), 1, { 'max.message.bytes': 10_000 })
  const send = size => produce(name, [{ value: Buffer.alloc(size), partition: 0 }])
  await refused(() => send(20_000), 'MESSAGE_TOO_LARGE')
  equal(Number((await send(9_000))[0].baseOffset), 0, 'the offset')
  await refused(() => send(10_100), 'MESSAGE_TOO_LARGE')
  await readsValues(name, [Buffer.alloc(9_000)])
})

for (const [called, acks] of [['0', 0], ['1', 1], ['all', -1]]) {
  behaviour(`acks ${called}`, async () => {
    const name = await create(topic(`acks-${called}`))
    const told = await produce(name, numbers(1_000), { acks })
    if (acks !== 0) equal(Number(told[0].baseOffset), 0, 'the acknowledged offset')
    await until(async () => Number((await offsets(name))[0].high) === 1_000, 'all are there')
    await readsValues(name, asNumbers(1_000))
  })
}

// Many sends at once, so that as many requests wait as may be in flight. Which goes first is the client's choice; in
// each of them the order is kept.
const idempotent = async maxInFlightRequests => {
  const name = await create(topic('idempotent'))
  await withProducer({ idempotent: true, maxInFlightRequests }, producer => Promise.all(
    Array.from({ length: 100 }, (_, n) => producer.send({ topic: name, messages: numbers(20, 20 * n) }))))
  equal(Number((await offsets(name))[0].high), 2_000, 'records, each once')
  await reads(name, records => {
    const groupsOfTwenty = Array.from({ length: 100 }, (_, n) =>
      records.slice(20 * n, 20 * n + 20).map(each => Number(each.value)))
    check(groupsOfTwenty.every(each => each.every((value, n) => value === each[0] + n)), 'the order in a request')
    equal(new Set(records.map(each => each.value.toString())).size, 2_000, 'different values')
  })
}
behaviour('idempotent producer', () => idempotent(5))
behaviour('idempotent, 1 in flight', () => idempotent(1))

behaviour('offsets by time', async () => {
  const name = await create(topic('times'))
  const start = Date.now() - 600_000
  const stamps = [0, 10, 30, 20, 40].map(each => start + each)
  await produce(name, stamps.map(stamp => ({ value: 'x', partition: 0, timestamp: String(stamp) })),
    { compression: CompressionTypes.GZIP })
  // After the last one, kafkajs itself answers with the end.
  for (const [asked, expected] of [[0, 0], [5, 1], [11, 2], [25, 2], [31, 4], [41, 5]]) {
    const [found] = await admin.fetchTopicOffsetsByTimestamp(name, start + asked)
    equal(Number(found.offset), expected, `the offset at start+${asked}`)
  }
})

behaviour('list offsets', async () => {
  const name = await create(topic('list'))
  await produce(name, numbers(3))
  const [found] = await offsets(name)
  equal([found.low, found.high], ['0', '3'], 'earliest and latest')
})

behaviour('seek into a batch', async () => {
  const name = await create(topic('seek'))
  await produce(name, numbers(1_000), { compression: CompressionTypes.GZIP })
  const reader = await follow(name, { offset: 499 })
  await until(() => reader.found.at(-1)?.offset === 999, 'the last record')
  await reader.stop()
  // What came before the seek took effect began at the beginning.
  const after = reader.found.slice(reader.found.findLastIndex((each, n) => each.offset !== reader.found[n - 1]?.offset + 1))
  equal([after[0].offset, after.length], [499, 501], 'first offset and count')
})

behaviour('fetch waits for data', async () => {
  const name = await create(topic('wait'))
  await produce(name, numbers(1))
  const reader = await follow(name, { maxWaitTimeInMs: 20_000 })
  await until(() => reader.found.length === 1, 'the first record')
  const started = Date.now()
  await produce(name, numbers(1))
  await until(() => reader.found.length === 2, 'the late record')
  check(Date.now() - started < 10_000, 'the fetch waited although there was data')
  await reader.stop()
})

behaviour('offset out of range', async () => {
  const name = await create(topic('range'))
  await produce(name, numbers(2))
  const reader = await follow(name, { offset: 1_000 })
  // It goes back to the beginning, as it is told to.
  await until(() => reader.found.filter(each => each.offset === 1).length >= 1, 'the last record')
  await reader.stop()
})

// === administration ===

behaviour('create topic', async () => {
  const name = await create(topic('create'), 5, { 'retention.ms': 3_600_000 })
  equal((await offsets(name)).length, 5, 'partitions')
  const attempt = (wanted, options = {}) => admin.createTopics({
    topics: [{ numPartitions: 1, replicationFactor: 1, ...wanted }], waitForLeaders: false, ...options })
  equal(await attempt({ topic: name }), false, 'what it says of a topic that is there')
  await refused(() => attempt({ topic: 'not/a/name' }), 'INVALID_TOPIC_EXCEPTION')
  await refused(() => attempt({ topic: '..' }), 'INVALID_TOPIC_EXCEPTION')
  await refused(() => attempt({ topic: topic('zero'), numPartitions: 0 }), 'INVALID_PARTITIONS')
  await refused(() => attempt({ topic: topic('many'), replicationFactor: 3 }), 'INVALID_REPLICATION_FACTOR')
  const configured = configs => attempt({ topic: topic('bad'), configEntries: configEntries(configs) })
  await refused(() => configured({ 'retention.ms': 'soon' }), 'INVALID_CONFIG')
  await refused(() => configured({ 'no.such.config': '1' }), 'INVALID_CONFIG')
  const dry = topic('dry')
  await attempt({ topic: dry }, { validateOnly: true })
  check(!(await admin.listTopics()).includes(dry), 'validation created the topic')
})

behaviour('describe topics', async () => {
  const name = await create(topic('describe'), 30)
  const [{ partitions }] = (await admin.fetchTopicMetadata({ topics: [name] })).topics
  equal(partitions.map(each => each.partitionId).sort((a, b) => a - b), Array.from({ length: 30 }, (_, n) => n))
  check(partitions.every(each => each.partitionErrorCode === 0 && each.isr.length === 1), JSON.stringify(partitions))
})

behaviour('create partitions', async () => {
  const name = await create(topic('more'), 2)
  const grow = count => admin.createPartitions({ topicPartitions: [{ topic: name, count }] })
  await grow(4)
  // On Kafka a new partition is listed a moment before somebody leads it.
  await until(() => offsets(name).then(all => all.length === 4, () => false), 'four partitions')
  equal(Number((await produce(name, [{ value: 'new', partition: 3 }]))[0].baseOffset), 0, 'the offset in the new one')
  for (const count of [3, 4]) await refused(() => grow(count), 'INVALID_PARTITIONS')
})

const configs = async (type, name) => {
  const { resources } = await admin.describeConfigs({ resources: [{ type, name }], includeSynonyms: false })
  return Object.fromEntries(resources[0].configEntries.map(each => [each.configName, each.configValue]))
}

behaviour('describe configs', async () => {
  const name = await create(topic('configs'), 1, { 'retention.ms': 1_000_000, 'segment.bytes': 2_000_000 })
  const found = await configs(ConfigResourceTypes.TOPIC, name)
  const picked = ['retention.ms', 'segment.bytes', 'cleanup.policy', 'max.message.bytes'].map(key => found[key])
  equal(picked, ['1000000', '2000000', 'delete', '1048588'], "the topic's values")
  const { controller } = await admin.describeCluster()
  equal((await configs(ConfigResourceTypes.BROKER, String(controller)))['message.max.bytes'], '1048588')
})

behaviour('alter configs', async () => {
  const name = await create(topic('alter'), 1, { 'retention.ms': 1_000_000, 'segment.bytes': 2_000_000 })
  await admin.alterConfigs({ resources: [
    { type: ConfigResourceTypes.TOPIC, name, configEntries: configEntries({ 'retention.ms': 2_000_000 }) }] })
  await until(async () => (await configs(ConfigResourceTypes.TOPIC, name))['retention.ms'] === '2000000', 'the new value')
  // What the set leaves out is no longer the topic's own.
  equal((await configs(ConfigResourceTypes.TOPIC, name))['segment.bytes'], '1073741824')
})

behaviour('delete records', async () => {
  const name = await create(topic('records'))
  await produce(name, numbers(10))
  const drop = offset => admin.deleteTopicRecords({ topic: name, partitions: [{ partition: 0, offset }] })
  // It looks for leaders only among the topics that it has heard of.
  equal((await offsets(name))[0].low, '0', 'the log start before')
  await drop('4')
  equal((await offsets(name))[0].low, '4', 'the log start')
  await refused(() => drop('11'), 'OFFSET_OUT_OF_RANGE')
  await drop('-1')
  equal((await offsets(name))[0].low, '10', 'the log start at the end')
  equal(Number((await produce(name, numbers(1)))[0].baseOffset), 10, 'the next offset')
})

behaviour('delete topic', async () => {
  const name = await create(topic('gone'))
  await produce(name, numbers(3))
  await admin.deleteTopics({ topics: [name] })
  await until(async () => !(await admin.listTopics()).includes(name), 'the topic is gone')
  await create(name)
  equal((await offsets(name))[0].high, '0', 'the end of the new one')
  equal(Number((await produce(name, numbers(1)))[0].baseOffset), 0, 'the first offset')
})

behaviour('keyless on compacted topic', async () => {
  const name = await create(topic('compact'), 1, { 'cleanup.policy': 'compact' })
  // It knows error codes up to 79 or so, and gives INVALID_RECORD (87) no name of its own.
  const error = await produce(name, [{ value: 'no key', partition: 0 }], {}, { retry: { retries: 0 } })
    .then(() => null, failure => failure)
  check(error && (error.code ?? error.cause?.code) !== undefined, `ended with ${error}`)
  equal(Number((await produce(name, [{ key: 'key', value: 'value', partition: 0 }]))[0].baseOffset), 0, 'the offset')
})

behaviour('goes on after a restart', () => restartable(async (address, restart) => {
  const there = connect(address)
  const thereAdmin = there.admin()
  await thereAdmin.connect()
  const name = await create(topic('restart'), 1, {}, thereAdmin)
  const reader = await follow(name, { from: there })
  try {
    await withProducer({ idempotent: true, maxInFlightRequests: 5 }, async producer => {
      const send = start => producer.send({ topic: name, messages: numbers(10, start) })
      equal(Number((await send(0))[0].baseOffset), 0, 'the offset before')
      await until(() => reader.found.length >= 10, 'what came before')
      await restart()
      equal(Number((await send(10))[0].baseOffset), 10, 'the offset after')
    }, there)
    await until(() => reader.found.at(-1)?.offset === 19, 'what came after')
    // Its group begins again at the beginning, since nothing was committed: each offset at least once, in order.
    const seen = [...new Set(reader.found.map(each => each.offset))]
    equal(seen, Array.from({ length: 20 }, (_, n) => n), 'the offsets read')
  } finally {
    await reader.stop()
    await thereAdmin.disconnect()
  }
}))

for (const each of ['incremental alter configs', 'append to config lists', 'describe log dirs']) {
  lacks(each, 'has no such call')
}
lacks('leader epoch after a restart', 'knows no leader epochs')

const main = async () => {
  await admin.connect()
  await tellAll()
}
main()
