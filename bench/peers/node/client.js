// Clients: Node's own, and undici.

'use strict';

const http = require('node:http');
const readline = require('node:readline');
const { begin } = require('./measure.js');

// Requests before those that count.
const WARM_UP = 5_000;

// Connections that are made at once, to an address of their own.
const BATCH = 100;

function failed(error) {
  process.stderr.write(`peer.js: ${error.message}\n`);
  process.exit(1);
}

// Node's own client: a function that asks a server and calls `done` when the answer has come.
function nodeClient(connections) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections, maxFreeSockets: connections });
  return (origin, done) => {
    const request = http.get(origin, { agent }, (response) => {
      if (response.statusCode !== 200) failed(new Error(`status ${response.statusCode}`));
      response.resume();
      response.on('end', done);
    });
    request.on('error', failed);
  };
}

// undici, by its `request`, which its users are told is the fast one that is still pleasant.
function undiciClient(connections) {
  const { Agent } = require('undici');
  const agent = new Agent({ connections, pipelining: 1 });
  return (origin, done) => {
    agent
      .request({ origin, path: '/', method: 'GET' })
      .then(async ({ statusCode, body }) => {
        if (statusCode !== 200) throw new Error(`status ${statusCode}`);
        await body.text();
        done();
      })
      .catch(failed);
  };
}

function clientOf({ with: package_, conns }) {
  return package_ === 'undici' ? undiciClient(conns) : nodeClient(conns);
}

// Asks `count` times on so many connections at once, and calls `each` with every answer.
function askAll(ask, origin, conns, count, each) {
  let left = count;
  const next = () => {
    if (left > 0) {
      left--;
      ask(origin, () => {
        each();
        next();
      });
    }
  };
  for (let index = 0; index < conns; index++) next();
}

function keepAlive(options) {
  const { to, conns, ops, turn } = options;
  const ask = clientOf(options);
  const origin = `http://${to}`;
  // The next turn begins when the last answer of one has come: what `begin` returns waits in it for the word.
  const turns = (didOne, left) => {
    const count = Math.min(turn ?? ops, left);
    if (count === 0) return process.exit(0);
    let open = count;
    askAll(ask, origin, conns, count, () => {
      open--;
      didOne();
      if (open === 0) turns(didOne, left - count);
    });
  };
  let open = WARM_UP;
  askAll(ask, origin, conns, WARM_UP, () => {
    open--;
    if (open === 0) turns(begin(ops, turn), ops);
  });
}

// Holds as many connections as each line of standard input says.
async function idle(options) {
  const ask = clientOf({ ...options, conns: BATCH });
  const port = options.to.split(':')[1];
  let held = 0;
  let batches = 0;
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const wanted = Number(line);
    while (held < wanted) {
      const count = Math.min(BATCH, wanted - held);
      const origin = `http://127.1.${batches >> 8}.${batches & 255}:${port}`;
      await Promise.all(Array.from({ length: count }, () => new Promise((done) => ask(origin, done))));
      held += count;
      batches++;
    }
    console.log('ready');
  }
  process.exit(0);
}

module.exports = { 'keep-alive': keepAlive, idle };
