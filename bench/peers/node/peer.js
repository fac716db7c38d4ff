// `node peer.js BENCH [--ops N] [--turn N] [--path P] [--to IP:PORT] [--conns N] [--with undici]`: Node as a peer, with nothing
// but its own modules, or with undici for its client.
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
  client: () => require('./client.js'),
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
        conns: { type: 'string', default: '64' },
        ops: { type: 'string' },
        path: { type: 'string' },
        size: { type: 'string' },
        to: { type: 'string' },
        turn: { type: 'string' },
        with: { type: 'string' },
      },
    });
    const ops = Number(values.ops ?? DEFAULT_OPS);
    if (positionals.length !== 1) refuse('usage: peer.js BENCH [--ops N] [--path P]');
    if (!Number.isSafeInteger(ops) || ops < 1) refuse(`--ops ${values.ops}: not a number of operations`);
    const turn = values.turn === undefined ? undefined : Number(values.turn);
    if (turn !== undefined && !(Number.isSafeInteger(turn) && turn > 0)) {
      refuse(`--turn ${values.turn}: not a number of operations`);
    }
    const conns = Number(values.conns);
    if (!(Number.isSafeInteger(conns) && conns > 0)) refuse(`--conns ${values.conns}: not a number of connections`);
    const { path, to, with: package_ } = values;
    return { bench: positionals[0], ops, turn, path, to, conns, with: package_ };
  } catch (error) {
    return refuse(error.message);
  }
}

function main() {
  const said = options();
  const { bench } = said;
  if (bench === 'version') {
    const { node } = process.versions;
    const undici = said.with === 'undici' ? require('undici/package.json').version : undefined;
    console.log(JSON.stringify({ node, undici }));
    return;
  }
  const [group, name] = bench.split('/');
  const found = Object.hasOwn(GROUPS, group) ? GROUPS[group]() : {};
  if (name === undefined || !Object.hasOwn(found, name)) refuse(`${bench}: Node has no such thing`);
  if (group === 'unix' && said.path === undefined) refuse(`${bench}: no --path`);
  if (group === 'client' && said.to === undefined) refuse(`${bench}: no --to`);
  found[name](said);
}

main();
