'use strict';
// Node's client sends requests one after another, each on a connection of its own, and says what it got: a line for each.

const http = require('http');

const [url, cases] = [process.argv[2], JSON.parse(process.argv[3])];

function ask({ method, fields, body }) {
  return new Promise((resolve) => {
    const said = [];
    let text = '';
    const tell = () => {
      if (text) said.push(`body=${text}`);
      text = '';
    };
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const headers = fields.flat();
    const request = http.request(url, { method, agent, headers: headers.length ? ['Host', 'h', ...headers] : undefined });
    const head = (response) => {
      said.push(`${response.statusCode} ${response.statusMessage}`.trim());
      const raw = response.rawHeaders;
      for (let at = 0; at < raw.length; at += 2) said.push(`${raw[at]}: ${raw[at + 1]}`);
    };
    const left = (response, socket, rest) => {
      head(response);
      said.push(`upgrade ${rest.toString('latin1')}`.trim());
      socket.destroy();
    };
    request.on('information', ({ statusCode }) => said.push(`info ${statusCode}`));
    request.on('upgrade', left);
    request.on('connect', left);
    request.on('response', (response) => {
      head(response);
      response.setEncoding('latin1');
      response.on('data', (data) => (text += data));
      response.on('end', () => {
        tell();
        const raw = response.rawTrailers;
        for (let at = 0; at < raw.length; at += 2) said.push(`${raw[at]}: ${raw[at + 1]}`);
        said.push('end');
      });
      response.on('error', () => tell());
    });
    request.on('error', (error) => {
      tell();
      said.push(`error ${error.code}`);
    });
    request.on('close', () => {
      if (!said.includes('end') && !said.some((word) => /^(error|upgrade)/.test(word))) said.push('cut');
      agent.destroy();
      resolve(said.join(' | '));
    });
    // A case of which Node makes an endless wait would hold up all others.
    request.setTimeout(5000, () => said.push('waits') && request.destroy());
    request.end(body || undefined);
  });
}

(async () => {
  for (const one of cases) console.log(JSON.stringify(await ask(one)));
})();
