// The other thread of `loop/wakeup` and `loop/post`: it answers the number `n` with `n` messages.

'use strict';

const { parentPort } = require('node:worker_threads');

parentPort.on('message', (count) => {
  for (let number = 0; number < count; number++) parentPort.postMessage(number);
});
