// The loop by itself, its threads and children.

'use strict';

const { spawn } = require('node:child_process');
const { randomBytes } = require('node:crypto');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
const { begin, measure } = require('./measure.js');

// Timers that are active during the churn. They lie this many milliseconds ahead and never fire.
const CHURN_TIMERS = 1000;
const CHURN_AHEAD = 60_000;

// The deadlines of timers are spread over so many milliseconds, evenly and out of order: the stride is a prime.
const SPREAD = 1000;
const STRIDE = 7919;

// Messages and requests under way at once.
const IN_FLIGHT = 64;

// Does `start(again)` over and over, `width` at a time, until it was done `ops` times. `start` calls `again` when it
// has done one.
function repeat(ops, width, start, done) {
  let toStart = ops;
  let toEnd = ops;
  const again = () => {
    if (--toEnd === 0) done();
    else next();
  };
  const next = () => {
    if (toStart > 0) {
      toStart--;
      start(again);
    }
  };
  for (let count = 0; count < width; count++) next();
}

function ticks({ ops }) {
  measure(ops, (count, done) => {
    const tick = () => {
      if (--count === 0) done();
      else setImmediate(tick);
    };
    setImmediate(tick);
  });
}

function timerChurn({ ops }) {
  const nothing = () => {};
  const start = (number) => setTimeout(nothing, CHURN_AHEAD + ((number * STRIDE) % SPREAD));
  const timers = Array.from({ length: CHURN_TIMERS }, (_, number) => start(number));
  const end = () => timers.forEach(clearTimeout);
  measure(ops, (count, done) => {
    for (let number = 0; number < count; number++) {
      const slot = number % CHURN_TIMERS;
      clearTimeout(timers[slot]);
      timers[slot] = start(number);
    }
    done();
  }, end);
}

// Starts all timers and lets their deadlines pass; only what fires them is measured.
function timerFire({ ops, turn }) {
  let didOne;
  const fire = () => didOne();
  for (let number = 0; number < ops; number++) setTimeout(fire, 1 + ((number * STRIDE) % SPREAD));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SPREAD + 1);
  didOne = begin(ops, turn);
}

// Another thread with its own loop. It answers the number `n` with `n` messages.
function answerer() {
  return new Worker(path.join(__dirname, 'answerer.js'));
}

function wakeup({ ops }) {
  const thread = answerer();
  measure(ops, (count, done) => {
    repeat(count, 1, (again) => {
      thread.once('message', again);
      thread.postMessage(1);
    }, done);
  }, () => thread.terminate());
}

function post({ ops }) {
  const thread = answerer();
  measure(ops, (count, done) => {
    let left = count;
    let inBurst = 0;
    const burst = () => {
      inBurst = Math.min(left, IN_FLIGHT);
      left -= inBurst;
      thread.postMessage(inBurst);
    };
    const receive = () => {
      if (--inBurst > 0) return;
      if (left > 0) {
        burst();
      } else {
        thread.off('message', receive);
        done();
      }
    };
    thread.on('message', receive);
    burst();
  }, () => thread.terminate());
}

// The least that Node's thread pool can be asked to do: one random byte.
function work({ ops }) {
  measure(ops, (count, done) => {
    repeat(count, IN_FLIGHT, (again) => {
      randomBytes(1, (error) => {
        if (error) throw error;
        again();
      });
    }, done);
  });
}

function spawnOne(again) {
  const child = spawn('/bin/true', { stdio: 'inherit' });
  child.on('error', (error) => {
    throw error;
  });
  child.on('exit', (code) => {
    if (code !== 0) throw new Error(`/bin/true: ${code}`);
    again();
  });
}

function spawnInTurn({ ops }) {
  measure(ops, (count, done) => repeat(count, 1, spawnOne, done));
}

module.exports = {
  'ticks': ticks,
  'timer-churn': timerChurn,
  'timer-fire': timerFire,
  'wakeup': wakeup,
  'post': post,
  'work': work,
  'spawn': spawnInTurn,
};
