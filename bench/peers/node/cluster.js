// Node's cluster: the primary accepts connections and passes them, in turn, to two workers that serve HTTP.

'use strict';

const cluster = require('node:cluster');
const { answer, listen } = require('./http-server.js');

const WORKERS = 2;

function runPrimary() {
  let awaited = WORKERS;
  cluster.schedulingPolicy = cluster.SCHED_RR;
  cluster.on('listening', (worker, { port }) => {
    if (--awaited === 0) console.log(`127.0.0.1:${port}`);
  });
  cluster.on('exit', ({ id }, code, signal) => {
    console.error(`peer.js: worker ${id} ended: ${signal ?? code}`);
    process.exit(1);
  });
  for (let count = 0; count < WORKERS; count++) cluster.fork();
}

function connect() {
  if (cluster.isPrimary) runPrimary();
  else listen(answer, () => {});
}

// Each answer says who gives it.
function evenness() {
  if (cluster.isPrimary) return runPrimary();
  return listen((request, response) => {
    response.setHeader('Worker', cluster.worker.id);
    answer(request, response);
  }, () => {});
}

module.exports = { connect, evenness };
