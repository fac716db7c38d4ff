// Servers of bytes over TCP and Unix sockets.

'use strict';

const net = require('node:net');

// Answers to one byte, and what each of them is.
const WRITES = 16;
const WRITE = Buffer.alloc(64, 'w');

// Sends, and reads no further while the client does not take what it is sent.
function send(socket, bytes) {
  if (!socket.write(bytes) && !socket.isPaused()) {
    socket.pause();
    socket.once('drain', () => socket.resume());
  }
}

function echo(socket) {
  socket.on('data', (bytes) => send(socket, bytes));
}

function pump(socket) {
  socket.on('data', () => {});
}

function writes(socket) {
  socket.on('data', (bytes) => {
    for (let count = bytes.length * WRITES; count > 0; count--) send(socket, WRITE);
  });
}

function serve(service, where, announce) {
  const server = net.createServer({ noDelay: true }, (socket) => {
    // A failed connection is the client's to count; Node closes it.
    socket.on('error', () => {});
    service(socket);
  });
  server.listen(where, () => announce(server.address()));
}

function onTcp(service) {
  return () => serve(service, { host: '127.0.0.1', port: 0 }, ({ port }) => console.log(`127.0.0.1:${port}`));
}

function onUnix(service) {
  return ({ path }) => serve(service, { path }, () => console.log(`unix:${path}`));
}

module.exports = {
  tcp: {
    'echo-64': onTcp(echo),
    'echo-16k': onTcp(echo),
    'pump': onTcp(pump),
    'connect': onTcp(echo),
    'writes': onTcp(writes),
    'idle': onTcp(echo),
  },
  unix: { 'echo-64': onUnix(echo) },
};
