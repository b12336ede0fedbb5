// Node's socket.io as a relay: passes `frame` on to every viewer, with no flow control.
//   node node-relay.mjs --port N
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

const require = createRequire(new URL('../../tests/tutorial/package.json', import.meta.url));
const { Server } = require('socket.io');

const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } });
const io = new Server({ transports: ['websocket'], perMessageDeflate: false, maxHttpBufferSize: 16e6 });
const web = io.of('/web');
io.of('/cv').on('connection', (socket) => {
  socket.on('frame', (meta, jpeg) => web.emit('frame', meta, jpeg));
});
io.listen(Number(values.port));
io.httpServer.once('listening', () => console.log(`listening on ${io.httpServer.address().port}`));
