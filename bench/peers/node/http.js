// What Node's HTTP server is measured with.

'use strict';

const { answer, listen } = require('./http-server.js');

function serve() {
  listen(answer, ({ port }) => console.log(`127.0.0.1:${port}`));
}

module.exports = {
  'keep-alive': serve,
  'pipelined': serve,
  'connect': serve,
  'down-1k': serve,
  'down-64k': serve,
  'down-1m': serve,
  'up-1k': serve,
  'up-64k': serve,
  'up-1m': serve,
  'chunked': serve,
  'idle': serve,
};
