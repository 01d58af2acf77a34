// lacks: consumer group: * | it has the classic protocol only
// lacks: describe consumer group | it has the classic protocol only
// lacks: classic group: static member | it has no static members
// lacks: classic group: incremental | its assignors are eager
// lacks: classic group: pattern | it looks for matching topics once, when it subscribes
// lacks: delete group offsets | it has no such call
// lacks: offsets without a member | without being a member it commits by its admin client only, and without metadata
//
// A member of a group, or an administrator, by kafkajs.
'use strict'

const readline = require('readline')
const { AssignerProtocol, Kafka, logLevel } = require('kafkajs')

// A second, its own default, is too short for a machine that does much else.
const kafka = new Kafka({
  brokers: [process.env.BROKER], clientId: 'member', logLevel: logLevel.NOTHING, connectionTimeout: 10_000,
})
const say = (...words) => console.log(words.join(' ').replaceAll('\n', ' '))
const commands = () => readline.createInterface({ input: process.stdin })

const member = async wanted => {
  const consumer = kafka.consumer({
    groupId: wanted.group, sessionTimeout: wanted.session, heartbeatInterval: 500, rebalanceTimeout: 60_000,
    metadataMaxAge: 1000, maxWaitTimeInMs: 100, readUncommitted: !wanted.committed,
  })
  const positions = new Map()
  // What it owned before it no longer commits.
  const owns = assignment => {
    positions.clear()
    say('owns', ...Object.entries(assignment).flatMap(([name, numbers]) => numbers.map(each => `${name}/${each}`)))
  }
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => owns(payload.memberAssignment))
  consumer.on(consumer.events.REBALANCING, () => owns({}))
  await consumer.connect()
  const topics = wanted.pattern ? [new RegExp(wanted.pattern)] : wanted.topics
  await consumer.subscribe({ topics, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ topic, partition, message }) => {
      positions.set(`${topic}/${partition}`, { topic, partition, offset: String(Number(message.offset) + 1) })
      say('read', `${topic}/${partition}`, message.offset, message.value.toString())
    },
  })
  for await (const word of commands()) {
    if (word !== 'commit') break
    try {
      await consumer.commitOffsets([...positions.values()])
      say('committed')
    } catch (error) {
      say('refused', error.message)
    }
  }
  await consumer.disconnect()
}

// === what an administrator asks ===

// Whether there are members it finds out itself.
const codeOf = error => /no running instances/.test(error.message) ? 25 : error?.code ?? error?.cause?.code ?? error?.groups?.[0]?.errorCode ?? -1

const admin = async () => {
  const client = kafka.admin()
  await client.connect()
  const offsetsOf = async group => (await client.fetchOffsets({ groupId: group }))
    .flatMap(({ topic, partitions }) => partitions.map(each => ({ topic, ...each })))
  const actions = {
    groups: async () => (await client.listGroups()).groups.map(each => each.groupId),
    describe: async group => {
      const found = (await client.describeGroups([group])).groups[0]
      const members = found.members.map(each => AssignerProtocol.MemberAssignment.decode(each.memberAssignment))
      return {
        state: found.state.toLowerCase(),
        members: members.map(each => Object.entries(each.assignment).flatMap(([name, all]) => all.map(one => `${name}/${one}`))),
      }
    },
    delete: async group => client.deleteGroups([group]),
    offsets: async group => Object.fromEntries((await offsetsOf(group)).filter(each => Number(each.offset) >= 0)
      .map(each => [`${each.topic}/${each.partition}`, Number(each.offset)])),
    ends: async name => Object.fromEntries((await client.fetchTopicOffsets(name))
      .map(each => [`${name}/${each.partition}`, Number(each.high)])),
    alter: async (group, topic, partition, offset) =>
      client.setOffsets({ groupId: group, topic, partitions: [{ partition: Number(partition), offset }] }),
  }
  for await (const line of commands()) {
    const [verb, ...words] = line.split(' ')
    try {
      say('ok', JSON.stringify((await actions[verb](...words)) ?? null))
    } catch (error) {
      say('error', codeOf(error), error.stack)
    }
  }
  await client.disconnect()
}

const main = process.argv[2] === 'member' ? member(JSON.parse(process.argv[3])) : admin()
main.then(() => process.exit(0), error => {
  console.error(error)
  process.exit(1)
})
