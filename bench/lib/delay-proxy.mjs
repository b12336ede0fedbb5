// A TCP proxy that delivers every byte later, as a long fast link does. There is no limit on what is under way.
//   node delay-proxy.mjs --to HOST:PORT --delay-ms 30      prints the port that it listens on
import net from 'node:net';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { to: { type: 'string' }, 'delay-ms': { type: 'string' } } });
const [host, port] = values.to.split(':');
const delayMs = Number(values['delay-ms']);

function delayed(from, to) {
  const underWay = [];
  let timer = null;
  const deliver = () => {
    timer = null;
    while (underWay.length > 0 && underWay[0].due <= performance.now()) {
      const { chunk } = underWay.shift();
      if (chunk) to.write(chunk);
      else to.end();
    }
    if (underWay.length > 0) timer = setTimeout(deliver, Math.max(0, underWay[0].due - performance.now()));
  };
  const put = (chunk) => {
    underWay.push({ chunk, due: performance.now() + delayMs });
    timer ??= setTimeout(deliver, delayMs);
  };
  from.on('data', put);
  from.on('end', () => put(null));
  from.on('error', () => to.destroy());
  from.on('close', () => { if (from.errored) to.destroy(); });
}

const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (near) => {
  const far = net.connect({ host, port: Number(port), noDelay: true, allowHalfOpen: true });
  delayed(near, far);
  delayed(far, near);
});
server.listen(0, '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
