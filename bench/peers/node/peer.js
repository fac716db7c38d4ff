// `node peer.js BENCH [--ops N] [--turn N] [--path P]`: Node as a peer, with nothing but its own modules.
//
// A solo benchmark prints one line of JSON, or one for each turn. A server prints where it listens and serves until SIGTERM, whose default
// action ends it at once.

'use strict';

const { parseArgs } = require('node:util');

// Operations of a solo benchmark unless `--ops` says otherwise.
const DEFAULT_OPS = 10_000;

// Exit code for what this program cannot do.
const UNABLE = 2;

// The benchmarks of a group, by name: functions that take the options.
const GROUPS = {
  cluster: () => require('./cluster.js'),
  http: () => require('./http.js'),
  loop: () => require('./loop.js'),
  tcp: () => require('./streams.js').tcp,
  unix: () => require('./streams.js').unix,
};

function refuse(what) {
  process.stderr.write(`peer.js: ${what}\n`);
  process.exit(UNABLE);
}

function options() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      // What clients send is their affair: a server takes any size.
      options: {
        ops: { type: 'string' },
        path: { type: 'string' },
        size: { type: 'string' },
        turn: { type: 'string' },
      },
    });
    const ops = Number(values.ops ?? DEFAULT_OPS);
    if (positionals.length !== 1) refuse('usage: peer.js BENCH [--ops N] [--path P]');
    if (!Number.isSafeInteger(ops) || ops < 1) refuse(`--ops ${values.ops}: not a number of operations`);
    const turn = values.turn === undefined ? undefined : Number(values.turn);
    if (turn !== undefined && !(Number.isSafeInteger(turn) && turn > 0)) {
      refuse(`--turn ${values.turn}: not a number of operations`);
    }
    return { bench: positionals[0], ops, turn, path: values.path };
  } catch (error) {
    return refuse(error.message);
  }
}

function main() {
  const { bench, ops, turn, path } = options();
  if (bench === 'version') {
    console.log(JSON.stringify({ node: process.versions.node }));
    return;
  }
  const [group, name] = bench.split('/');
  const found = Object.hasOwn(GROUPS, group) ? GROUPS[group]() : {};
  if (name === undefined || !Object.hasOwn(found, name)) refuse(`${bench}: Node has no such thing`);
  if (group === 'unix' && path === undefined) refuse(`${bench}: no --path`);
  found[name]({ ops, turn, path });
}

main();
