// What clients written in JavaScript share: behaviours as functions, and the lines that tell how they went.
'use strict'

const net = require('net')
const readline = require('readline')
const { isDeepStrictEqual, inspect } = require('util')

const BROKER = process.env.BROKER
const ONLY = process.env.ONLY || ''
const behaviours = []

// The behaviour cannot be tried in this run.
class CannotTry extends Error {}

// Names a behaviour and the function that shows it; it fails by an exception.
const behaviour = (name, action) => behaviours.push({ name, action })
// This client has no such thing.
const lacks = (name, why) => behaviours.push({ name, why })
// A topic name that no earlier run has used.
const topic = name => `${name.replaceAll(' ', '-')}-${process.pid}-${process.hrtime.bigint()}`

const short = value => {
  const text = inspect(value, { depth: 4, breakLength: Infinity })
  return text.length < 300 ? text : `${text.slice(0, 280)}… (${text.length} characters)`
}

const equal = (found, expected, what = 'value') => {
  if (!isDeepStrictEqual(found, expected)) throw new Error(`${what} is ${short(found)}, not ${short(expected)}`)
}

const check = (holds, what) => {
  if (!holds) throw new Error(what)
}

// Asks until the answer is true; for what a broker may do a moment later.
const until = async (condition, what, seconds = 60) => {
  const deadline = Date.now() + seconds * 1000
  for (;;) {
    const answer = await condition()
    if (answer) return answer
    check(Date.now() < deadline, `${what} did not come true within ${seconds} s`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

// Borrows a broker that may be restarted (see README.md): `action(address, restart)`.
const restartable = async action => {
  if (!process.env.RESTART) throw new CannotTry('this run has no broker that may be restarted')
  const [host, port] = process.env.RESTART.split(':')
  const socket = net.connect(Number(port), host)
  const lines = readline.createInterface({ input: socket })[Symbol.asyncIterator]()
  const line = async () => (await lines.next()).value
  try {
    const address = await line()
    await action(address, async () => {
      socket.write('restart\n')
      equal(await line(), 'done', 'the answer to the restart')
    })
  } finally {
    socket.destroy()
  }
}

// Runs every behaviour and prints a line for each; ends the process.
const tellAll = async () => {
  let failed = false
  const tell = (...words) => console.log(words.join('\t').replaceAll('\n', ' '))
  for (const { name, action, why } of behaviours.filter(each => each.name.includes(ONLY))) {
    if (why) {
      tell('lacks', name, why)
      continue
    }
    try {
      await action()
      tell('ok', name)
    } catch (error) {
      const word = error instanceof CannotTry ? 'skip' : 'fail'
      failed ||= word === 'fail'
      const at = word === 'fail' ? /suites\/[^:]+:(\d+)/.exec(error.stack || '') : null
      tell(word, name, `${at ? `line ${at[1]}: ` : ''}${error.message}`.replace(/\s+/g, ' ').slice(0, 600))
    }
  }
  process.exit(failed ? 1 : 0)
}

module.exports = { BROKER, behaviour, lacks, topic, equal, check, until, restartable, tellAll }
