// One address for the tutorial's page and our relay, as a reverse proxy makes it: files under
// /tutorial/, everything else is the relay's.
import { createReadStream } from 'node:fs';
import http from 'node:http';
import net from 'node:net';

const TYPES = { html: 'text/html', js: 'text/javascript' };

/** Serves `files` (by the name after /tutorial/) and the relay on `relayPort`; resolves to `{url, close}`. */
export async function startFront(relayPort, files) {
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://front');
    const file = pathname.startsWith('/tutorial/') && files[pathname.slice('/tutorial/'.length)];
    if (file) {
      response.writeHead(200, { 'content-type': TYPES[file.split('.').pop()] });
      createReadStream(file).pipe(response);
      return;
    }
    const { method, url, headers } = request;
    const onward = http.request({ host: '127.0.0.1', port: relayPort, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  const sockets = new Set();
  const keep = (socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  };
  server.on('connection', keep);
  server.on('upgrade', (request, socket, head) => {
    const relay = net.connect(relayPort, '127.0.0.1');
    keep(relay);
    const lines = [`${request.method} ${request.url} HTTP/1.1`];
    for (let i = 0; i < request.rawHeaders.length; i += 2) lines.push(request.rawHeaders.slice(i, i + 2).join(': '));
    relay.write(`${lines.join('\r\n')}\r\n\r\n`);
    relay.write(head);
    relay.pipe(socket).pipe(relay);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/tutorial/`,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
