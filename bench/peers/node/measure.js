// The clocks of a solo benchmark.

'use strict';

const fs = require('node:fs');

// Operations that no warm-up exceeds.
const WARM_UP_MOST = 10_000;

// Ticks per second in which the kernel tells the time of children.
const TICKS_PER_SECOND = 100;

// Operations that come before `ops` measured ones.
function warmUp(ops) {
  return Math.min(Math.floor(ops / 10) + 1, WARM_UP_MOST);
}

// Nanoseconds of CPU time of the children that this process has waited for. Node tells its own only.
function childrenTime() {
  const stat = fs.readFileSync('/proc/self/stat', 'latin1');
  // The name may contain anything; it ends with the last parenthesis. `cutime` and `cstime` are 13 and 14 behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) * (1e9 / TICKS_PER_SECOND);
}

// Starts the clocks. Returns what prints the cost of so many operations, once.
function meter() {
  const children = childrenTime();
  const wall = process.hrtime.bigint();
  const cpu = process.cpuUsage();
  return (ops) => {
    const { user, system } = process.cpuUsage(cpu);
    const wallNs = Number(process.hrtime.bigint() - wall);
    const cpuNs = (user + system) * 1000 + childrenTime() - children;
    console.log(JSON.stringify({ ops, cpu_ns: cpuNs, wall_ns: wallNs }));
  };
}

// Has `work(ops, done)` do a few operations to warm up, then `ops` of them, and prints what these cost. Calls `then`
// in the end.
function measure(ops, work, then = () => {}) {
  work(warmUp(ops), () => {
    const print = meter();
    work(ops, () => {
      print(ops);
      then();
    });
  });
}

// Waits for a line of input.
function waitForWord() {
  const byte = Buffer.alloc(1);
  do {
    if (fs.readSync(0, byte) === 0) throw new Error('--turn: the input ended before the last turn');
  } while (byte.toString() !== '\n');
}

// Does `ops` operations in turns of so many: waits for a line of input before each, and prints what each costs. Without
// `turn` there is one turn, which begins at once. Returns what is to be called after each operation.
function begin(ops, turn) {
  let left = ops;
  let inTurn;
  let print;
  const next = () => {
    inTurn = Math.min(turn ?? ops, left);
    if (turn !== undefined) waitForWord();
    const printTurn = meter();
    const length = inTurn;
    print = () => printTurn(length);
  };
  if (turn !== undefined) console.log('ready');
  next();
  return () => {
    left--;
    if (--inTurn === 0) {
      print();
      if (left > 0) next();
    }
  };
}

module.exports = { begin, measure };
