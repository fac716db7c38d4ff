// What Node's http client makes of the server at the address that it is given. Throws if anything is not as it should be.
'use strict';

const assert = require('node:assert');
const http = require('node:http');

const [host, port] = process.argv[2].split(':');
const agent = new http.Agent({ keepAlive: true });

// Sends a request, whose body is `chunks`; resolves to the response with its body.
function ask(path, options = {}, chunks = [], trailers = null) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, path, agent, ...options }, (response) => {
      const body = [];
      response.on('data', (data) => body.push(data));
      response.on('error', reject);
      response.on('end', () => resolve({
        status: response.statusCode,
        headers: response.headers,
        body: Buffer.concat(body),
        reused: request.reusedSocket,
      }));
    });
    request.on('error', reject);
    for (const chunk of chunks) request.write(chunk);
    if (trailers) request.addTrailers(trailers);
    request.end();
  });
}

async function main() {
  for (let i = 0; i < 50; i++) {
    const { status, body, headers, reused } = await ask('/');
    assert.strictEqual(`${status} ${body}`, '200 hello');
    assert.strictEqual(headers['content-type'], 'text/plain');
    assert.strictEqual(headers.connection, 'keep-alive');
    assert.strictEqual(reused, i > 0, `request ${i}`);
  }

  const paths = Array.from({ length: 50 }, (_, i) => `/stream/${i}`);
  const answers = await Promise.all(paths.map((path) => ask(path)));
  answers.forEach(({ status, body }, i) => {
    assert.strictEqual(status, 200);
    assert.strictEqual(body.length, i * 1024);
  });

  const chunk = Buffer.alloc(64 * 1024, 'mebibyte');
  const echoed = await ask('/echo', { method: 'POST' }, Array(16).fill(chunk));
  assert.strictEqual(echoed.headers['transfer-encoding'], 'chunked');
  assert.ok(echoed.body.equals(Buffer.alloc(1024 * 1024, chunk)), 'another body came back');

  const options = { method: 'POST', headers: { 'Trailer': 'X-Sum', 'Transfer-Encoding': 'chunked' } };
  const { body } = await ask('/trailers', options, ['body'], { 'X-Sum': '4' });
  assert.deepStrictEqual(JSON.parse(body), { 'x-sum': '4' });

  agent.destroy();
}

main();
