// Drives MQTT.js for the interop tests: reads one JSON object per line on
// standard input and answers with one per line on standard output;
// remote_test.go describes them.

import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import mqtt from 'mqtt'

const PATIENCE = 15_000 // milliseconds
const NOT_TOLD = -1

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n')

const withDeadline = (promise, what) => {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('no ' + what)), PATIENCE)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

const payloadOf = (m) => Buffer.from(m.payload ?? '', 'base64')

// outgoing gives the properties of a message; undefined when there is none.
function outgoing(m) {
  const properties = {}
  if (m.content_type) properties.contentType = m.content_type
  if (m.response_topic) properties.responseTopic = m.response_topic
  if (m.correlation_data) properties.correlationData = Buffer.from(m.correlation_data, 'base64')
  if (m.message_expiry !== undefined) properties.messageExpiryInterval = m.message_expiry
  if (m.payload_format !== undefined) properties.payloadFormatIndicator = m.payload_format === 1
  for (const [name, value] of m.user_properties ?? []) {
    properties.userProperties ??= {}
    const before = properties.userProperties[name]
    properties.userProperties[name] = before === undefined ? value : [before, value].flat()
  }
  return Object.keys(properties).length > 0 ? properties : undefined
}

// incoming gives a received message as the line protocol writes it.
function incoming(topic, payload, packet) {
  const line = {
    topic,
    payload: payload.toString('base64'),
    qos: packet.qos,
    retain: packet.retain,
    duplicate: packet.dup,
  }
  const p = packet.properties ?? {}
  if (p.contentType !== undefined) line.content_type = p.contentType
  if (p.responseTopic !== undefined) line.response_topic = p.responseTopic
  if (p.correlationData !== undefined) line.correlation_data = p.correlationData.toString('base64')
  if (p.messageExpiryInterval !== undefined) line.message_expiry = p.messageExpiryInterval
  if (p.payloadFormatIndicator !== undefined) line.payload_format = p.payloadFormatIndicator ? 1 : 0
  if (p.subscriptionIdentifier !== undefined) line.subscription_ids = [p.subscriptionIdentifier].flat()
  if (p.userProperties !== undefined) {
    line.user_properties = Object.entries(p.userProperties).flatMap(([name, value]) =>
      [value].flat().map((v) => [name, v]),
    )
  }
  return line
}

class Connection {
  constructor(name, options) {
    this.name = name
    this.five = options.version === 5
    this.reasons = new Map() // Reason Code of a PUBACK or PUBREC, by Packet Identifier
    const settings = {
      host: '127.0.0.1',
      port: options.port,
      protocol: (options.websocket ? 'ws' : 'mqtt') + (options.ca ? 's' : ''),
      ca: options.ca ? readFileSync(options.ca) : undefined,
      path: '/mqtt',
      protocolVersion: options.version,
      protocolId: options.version === 3 ? 'MQIsdp' : 'MQTT',
      clientId: options.client_id,
      clean: options.clean,
      reconnectPeriod: 0,
      resubscribe: false,
      connectTimeout: PATIENCE,
    }
    if (options.session_expiry !== undefined) {
      settings.properties = { sessionExpiryInterval: options.session_expiry }
    }
    if (options.will) {
      const will = options.will
      settings.will = { topic: will.topic, payload: payloadOf(will), qos: will.qos, retain: will.retain }
      if (this.five) {
        settings.will.properties = outgoing(will) ?? {}
        if (options.will_delay !== undefined) settings.will.properties.willDelayInterval = options.will_delay
      }
    }
    this.client = mqtt.connect(settings)
    let ended = NOT_TOLD
    this.client.on('message', (topic, payload, packet) =>
      say({ connection: name, message: incoming(topic, payload, packet) }),
    )
    this.client.on('packetreceive', (packet) => {
      if (packet.cmd === 'puback' || packet.cmd === 'pubrec') this.reasons.set(packet.messageId, packet.reasonCode ?? 0)
    })
    this.client.on('disconnect', (packet) => {
      ended = packet.reasonCode
    })
    this.client.on('close', () => say({ connection: name, closed: true, code: ended }))
    this.client.on('error', () => {}) // the end of the connection tells enough
  }

  connected() {
    return withDeadline(
      new Promise((resolve, reject) => {
        this.client.once('connect', (packet) =>
          resolve({
            session_present: packet.sessionPresent,
            code: this.five ? packet.reasonCode : packet.returnCode,
            assigned_client_id: packet.properties?.assignedClientIdentifier ?? '',
          }),
        )
        this.client.once('error', reject)
      }),
      'CONNACK',
    )
  }

  // ask turns a call that ends in a callback into a promise of the packet that answers it.
  ask(what, call) {
    return withDeadline(
      new Promise((resolve, reject) => call((error, ...answer) => (error ? reject(error) : resolve(answer)))),
      what,
    )
  }

  async subscribe(s) {
    const options = { qos: s.qos }
    if (this.five) {
      Object.assign(options, { nl: !!s.no_local, rap: !!s.retain_as_published, rh: s.retain_handling ?? 0 })
      if (s.id) options.properties = { subscriptionIdentifier: s.id }
    }
    const [, packet] = await this.ask('SUBACK', (done) => this.client.subscribe(s.filter, options, done))
    return { code: packet.granted[0] }
  }

  async unsubscribe(s) {
    const [packet] = await this.ask('UNSUBACK', (done) => this.client.unsubscribe(s.filter, done))
    return { code: this.five ? packet.granted[0] : NOT_TOLD }
  }

  async publish(m) {
    const options = { qos: m.qos, retain: m.retain }
    if (this.five) options.properties = outgoing(m)
    const [packet] = await this.ask('acknowledgement', (done) =>
      this.client.publish(m.topic, payloadOf(m), options, done),
    )
    if (!this.five || m.qos === 0) return { code: NOT_TOLD }
    const code = this.reasons.get(packet.messageId)
    this.reasons.delete(packet.messageId)
    return { code }
  }

  async disconnect(options) {
    const reason = this.five ? { reasonCode: options.code } : {}
    await this.ask('end', (done) => this.client.end(false, reason, done))
    return {}
  }

  async abort() {
    this.client.stream.destroy()
    return {}
  }
}

const connections = new Map()

async function serve(request) {
  if (request.do === 'connect') {
    const connection = new Connection(request.connection, request.with)
    connections.set(request.connection, connection)
    return connection.connected()
  }
  return connections.get(request.connection)[request.do](request.with)
}

for await (const text of createInterface({ input: process.stdin })) {
  const request = JSON.parse(text)
  try {
    say({ id: request.id, ...(await serve(request)) })
  } catch (problem) {
    say({ id: request.id, error: String(problem) })
  }
}
process.exit(0)
