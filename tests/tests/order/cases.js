// The cases of `cases.rs`, line by line, for Node. Each case begins in a timeout, once the loop has nothing left of the case
// before it; `say` writes a line.

'use strict';

const { once } = require('events');
const net = require('net');
const { setTimeout: sleep } = require('timers/promises');

const say = console.log;

const spin = (milliseconds) => {
  const until = performance.now() + milliseconds;
  while (performance.now() < until);
};

// One pass through the queue of microtasks.
const step = () => null;

// Calls an async function from a microtask.
const spawn = (run) => new Promise((resolve, reject) => queueMicrotask(() => run(resolve, reject)));

// Says each pass through the queue of microtasks.
const count = (passes, pass = 1) => {
  queueMicrotask(() => {
    say(`pass ${pass}`);
    if (pass < passes) count(passes, pass + 1);
  });
};

const fail = (words) => {
  throw new Error(words);
};

process.on('uncaughtException', (error) => say(`uncaught: ${error.message}`));
process.on('unhandledRejection', (error) => say(`unhandled: ${error.message}`));

const CASES = {
  'a callback, its ticks, its microtasks': () => {
    queueMicrotask(() => say('microtask 1'));
    process.nextTick(() => say('tick 1'));
    queueMicrotask(() => say('microtask 2'));
    process.nextTick(() => say('tick 2'));
    say('callback');
  },

  'ticks and microtasks that queue each other': () => {
    process.nextTick(() => {
      say('tick 1');
      queueMicrotask(() => {
        say('microtask of tick 1');
        process.nextTick(() => {
          say('tick of the microtask of tick 1');
          queueMicrotask(() => say('microtask of that'));
        });
      });
      process.nextTick(() => {
        say('tick of tick 1');
        process.nextTick(() => say('tick of tick of tick 1'));
      });
    });
    queueMicrotask(() => {
      say('microtask 1');
      process.nextTick(() => say('tick 1 of microtask 1'));
      process.nextTick(() => say('tick 2 of microtask 1'));
      queueMicrotask(() => say('microtask of microtask 1'));
    });
    process.nextTick(() => {
      say('tick 2');
      queueMicrotask(() => say('microtask of tick 2'));
    });
  },

  'microtasks that queue microtasks, before any tick': () => {
    count(5);
    queueMicrotask(() => process.nextTick(() => say('tick of a microtask')));
  },

  'two async functions take turns': () => {
    const run = async (name) => {
      say(`${name} 1`);
      await step();
      say(`${name} 2`);
      await step();
      say(`${name} 3`);
    };
    run('a');
    run('b');
    say('callback');
  },

  'async functions among ticks and microtasks': () => {
    const run = async () => {
      say('async 1');
      process.nextTick(() => say('tick of async 1'));
      await step();
      say('async 2');
      process.nextTick(() => say('tick of async 2'));
      queueMicrotask(() => say('microtask of async 2'));
      await step();
      say('async 3');
      process.nextTick(() => say('tick of async 3'));
      await step();
      say('async 4');
    };
    queueMicrotask(() => say('microtask 1'));
    run();
    queueMicrotask(() => say('microtask 2'));
    process.nextTick(() => say('tick 1'));
  },

  'a chain of reactions beside an async function': () => {
    // `then` by `then`, each a microtask of the one before it.
    Promise.resolve().then(() => say('chain 1')).then(() => say('chain 2')).then(() => say('chain 3'));
    const run = async () => {
      await step();
      say('async 1');
      await step();
      say('async 2');
      await step();
      say('async 3');
    };
    run();
  },

  'a task is awaited': () => {
    const run = async () => {
      const task = spawn(async (resolve) => {
        say('task 1');
        await step();
        say('task 2');
        resolve(7);
      });
      say('async 1');
      say(`async 2: ${await task}`);
    };
    run();
    count(4);
  },

  'two that await one after the other': () => {
    let open;
    const gate = new Promise((resolve) => (open = resolve));
    const run = async (name) => {
      await gate;
      say(`${name} goes on`);
      process.nextTick(() => say(`tick of ${name}`));
    };
    run('a');
    run('b');
    process.nextTick(() => {
      open();
      say('opened');
      process.nextTick(() => say('tick after it'));
      queueMicrotask(() => say('microtask after it'));
    });
  },

  'an error of a task is awaited': () => {
    const run = async () => {
      const task = spawn(async (_, reject) => {
        await step();
        reject(new Error('no disk'));
      });
      try {
        await task;
      } catch (error) {
        say(`caught: ${error.message}`);
      }
      process.nextTick(() => say('tick after it'));
    };
    run();
    count(4);
    process.nextTick(() => say('tick 1'));
  },

  'microtasks of a tick, and ticks of those': () => {
    process.nextTick(() => {
      queueMicrotask(() => {
        say('microtask 1');
        process.nextTick(() => say('tick of microtask 1'));
      });
      queueMicrotask(() => say('microtask 2'));
      say('tick 1');
    });
    process.nextTick(() => say('tick 2'));
    setImmediate(() => say('immediate'));
  },

  'immediates of a timeout come before its timeouts': () => {
    setTimeout(() => say('timeout'), 30);
    setImmediate(() => say('immediate'));
    process.nextTick(() => say('tick'));
    queueMicrotask(() => say('microtask'));
  },

  'ticks and microtasks between two immediates': () => {
    setImmediate(() => {
      say('immediate 1');
      queueMicrotask(() => say('microtask of immediate 1'));
      process.nextTick(() => say('tick of immediate 1'));
    });
    setImmediate(() => {
      say('immediate 2');
      process.nextTick(() => say('tick of immediate 2'));
    });
  },

  'an immediate of an immediate waits for the next turn': () => {
    setImmediate(() => {
      say('immediate 1');
      setImmediate(() => say('immediate of immediate 1'));
      // Due when the next turn begins.
      setTimeout(() => say('timeout of immediate 1'), 1);
      spin(5);
    });
    setImmediate(() => say('immediate 2'));
  },

  'an immediate that clears the next': () => {
    setImmediate(() => {
      say('immediate 1');
      clearImmediate(second);
    });
    const second = setImmediate(() => say('never'));
    setImmediate(() => say('immediate 3'));
  },

  'ticks and microtasks between two timeouts that are due together': () => {
    setTimeout(() => {
      say('timeout 1');
      queueMicrotask(() => say('microtask of timeout 1'));
      process.nextTick(() => say('tick of timeout 1'));
    }, 1);
    setTimeout(() => {
      say('timeout 2');
      setImmediate(() => say('immediate of timeout 2'));
    }, 1);
    setTimeout(() => say('timeout 3'), 1);
    spin(5);
  },

  'timeouts in the order in which they are due': () => {
    setTimeout(() => say('after 60'), 60);
    setTimeout(() => say('after 10'), 10);
    setTimeout(() => say('after 35'), 35);
    setTimeout(() => say('after 10, too'), 10);
    spin(100);
  },

  'a timeout that clears two others that are due': () => {
    setTimeout(() => {
      say('timeout 1');
      process.nextTick(() => clearTimeout(third));
      clearTimeout(second);
    }, 1);
    const second = setTimeout(() => say('never'), 1);
    const third = setTimeout(() => say('never, too'), 1);
    spin(5);
  },

  'a timeout of a timeout waits for another turn': () => {
    setTimeout(() => {
      say('timeout 1');
      setTimeout(() => say('timeout of timeout 1'), 30);
      setImmediate(() => say('immediate of timeout 1'));
    }, 1);
    setTimeout(() => say('timeout 2'), 1);
    spin(5);
  },

  'an interval until it is cleared': () => {
    let count = 0;
    const interval = setInterval(() => {
      count += 1;
      say(`interval ${count}`);
      process.nextTick(() => say(`tick of interval ${count}`));
      setImmediate(() => say(`immediate of interval ${count}`));
      if (count === 3) clearInterval(interval);
    }, 20);
  },

  'two that sleep': () => {
    const run = async (name) => {
      await sleep(1);
      say(`${name} is awake`);
      process.nextTick(() => say(`tick of ${name}`));
      await step();
      say(`${name} goes on`);
    };
    run('a');
    setTimeout(() => say('timeout'), 1);
    run('b');
    spin(5);
  },

  'a callback of I/O, its ticks, its microtasks, immediates, timeouts': () => {
    const server = net.createServer((socket) => socket.end('hello'));
    server.listen(0, '127.0.0.1', () => {
      const socket = net.connect(server.address().port, '127.0.0.1');
      socket.on('connect', () => {
        say('connect');
        queueMicrotask(() => say('microtask of connect'));
        process.nextTick(() => say('tick of connect'));
      });
      socket.on('data', (data) => {
        setTimeout(() => say('timeout of data'), 1);
        setImmediate(() => say('immediate of data'));
        queueMicrotask(() => {
          say('microtask of data');
          process.nextTick(() => say('tick of the microtask'));
        });
        process.nextTick(() => say('tick of data'));
        say(`data: ${data}`);
        spin(5);
        server.close();
      });
    });
  },

  'a socket that is destroyed closes after the immediates': () => {
    const server = net.createServer((socket) => socket.on('error', () => {}).write('hello'));
    server.listen(0, '127.0.0.1', () => {
      const socket = net.connect(server.address().port, '127.0.0.1');
      socket.on('close', () => {
        say('close');
        process.nextTick(() => say('tick of close'));
      });
      socket.on('data', () => {
        say('data');
        socket.destroy();
        server.close();
        setImmediate(() => say('immediate'));
        process.nextTick(() => say('tick'));
        queueMicrotask(() => say('microtask'));
      });
    });
  },

  'an async function that reads a socket': () => {
    const server = net.createServer((socket) => socket.on('data', (data) => socket.end(data)));
    const run = async () => {
      const socket = net.connect(server.address().port, '127.0.0.1');
      await once(socket, 'connect');
      say('connected');
      process.nextTick(() => say('tick'));
      await step();
      say('writes');
      socket.write('hello');
      const [data] = await once(socket, 'data');
      say(`data: ${data}`);
      setImmediate(() => say('immediate of data'));
      process.nextTick(() => say('tick of data'));
      await step();
      say('goes on');
      server.close();
    };
    server.listen(0, '127.0.0.1', run);
  },

  'a tick that throws': () => {
    process.nextTick(() => say('tick 1'));
    process.nextTick(() => fail('tick 2'));
    process.nextTick(() => say('tick 3'));
    queueMicrotask(() => say('microtask'));
    setImmediate(() => say('immediate'));
  },

  'a microtask that throws': () => {
    queueMicrotask(() => say('microtask 1'));
    queueMicrotask(() => fail('microtask 2'));
    queueMicrotask(() => {
      say('microtask 3');
      process.nextTick(() => say('tick of microtask 3'));
    });
    setImmediate(() => say('immediate'));
  },

  'a timeout that throws': () => {
    setTimeout(() => {
      process.nextTick(() => say('tick of timeout 1'));
      queueMicrotask(() => say('microtask of timeout 1'));
      fail('timeout 1');
    }, 1);
    setTimeout(() => say('timeout 2'), 1);
    setImmediate(() => say('immediate'));
    spin(5);
  },

  'an immediate that throws': () => {
    setImmediate(() => {
      process.nextTick(() => say('tick of immediate 1'));
      fail('immediate 1');
    });
    setImmediate(() => say('immediate 2'));
  },

  'an async function that throws, without a handler': () => {
    const run = async () => {
      await step();
      process.nextTick(() => say('tick 1'));
      fail('no disk');
    };
    run();
    queueMicrotask(() => say('microtask 1'));
    setImmediate(() => say('immediate'));
  },

  'a value that is there is awaited': () => {
    const run = async () => {
      say(`async 1: ${await 1}`);
      say(`async 2: ${await 2}`);
    };
    run();
    say('callback');
    queueMicrotask(() => say('microtask'));
  },

  'an async function awaits another': () => {
    const inner = async () => {
      await step();
      say('inner');
      return 7;
    };
    const outer = async () => say(`outer: ${await inner()}`);
    outer();
    count(3);
  },

  'an async function returns what another promises': () => {
    const inner = async () => {
      await step();
      say('inner');
    };
    const outer = async () => inner();
    const run = async () => {
      await outer();
      say('outer');
    };
    run();
    count(5);
  },

  'a thousand awaits': () => {
    const run = async () => {
      for (let count = 1; count <= 1000; count++) await step();
      say('a thousand');
    };
    run();
    setImmediate(() => say('immediate'));
  },
};

const names = Object.keys(CASES);

// The loop has nothing left.
process.on('beforeExit', () => {
  const name = names.shift();
  if (name === undefined) return;
  say(`# ${name}`);
  setTimeout(CASES[name], 1);
});
