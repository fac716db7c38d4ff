// Node's HTTP server. Routes: `GET /`, `GET /size/N`, `GET /stream/N`, `POST /sink`.

'use strict';

const http = require('node:http');

// Idle connections live as long as our own server's, in milliseconds: longer than a measurement.
const KEEP_ALIVE_TIMEOUT = 65_000;

// The largest body of `/size/N`, which is laid out once.
const LARGEST_BODY = Buffer.alloc(1 << 20, 'x');

// What `/stream/N` writes: the i-th write, from 0, is all `a` + i mod 26.
const STREAM_WRITES = Array.from({ length: 26 }, (_, index) => Buffer.alloc(1024, 97 + index));

function sendText(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'text/plain', 'Content-Length': body.length });
  response.end(body);
}

function sendStream(response, count) {
  response.writeHead(200, { 'Content-Type': 'text/plain' });
  let sent = 0;
  const go = () => {
    while (sent < count) {
      if (!response.write(STREAM_WRITES[sent++ % STREAM_WRITES.length])) {
        response.once('drain', go);
        return;
      }
    }
    response.end();
  };
  go();
}

function sink(request, response) {
  let received = 0;
  request.on('data', (bytes) => {
    received += bytes.length;
  });
  request.on('end', () => sendText(response, 200, 'ok'));
}

function answer(request, response) {
  const { method, url } = request;
  if (method === 'GET' && url === '/') return sendText(response, 200, 'hello');
  if (method === 'POST' && url === '/sink') return sink(request, response);
  const [, route, digits] = /^\/(size|stream)\/(\d+)$/.exec(url) ?? [];
  const number = Number(digits);
  if (method === 'GET' && route === 'stream') return sendStream(response, number);
  if (method === 'GET' && route === 'size' && number <= LARGEST_BODY.length) {
    return sendText(response, 200, LARGEST_BODY.subarray(0, number));
  }
  return sendText(response, 404, 'not found\n');
}

function listen(listener, onListening) {
  const server = http.createServer({ keepAliveTimeout: KEEP_ALIVE_TIMEOUT }, listener);
  server.listen(0, '127.0.0.1', () => onListening(server.address()));
}

module.exports = { answer, listen };
