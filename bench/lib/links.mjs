// A link of limited rate between two network namespaces, as a board on a slow WiFi has it.
//
//   board (10.77.N.2) --- veth, token bucket on the way out --- server (10.77.N.1)
//
// Needs root. Everything disappears with the namespaces, which are deleted when the process ends.
import { execFileSync, spawnSync } from 'node:child_process';

/** How long a packet may wait in the bucket's queue before it is dropped: an ordinary access point's. */
const QUEUE_MS = 200;

let count = 0;

export class Link {
  constructor() {
    count += 1;
    const tag = `cvbench${process.pid}${'abcdefgh'[count - 1]}`;
    this.board = `${tag}-board`;
    this.server = `${tag}-server`;
    this.serverAddress = `10.77.${count}.1`;
    this.boardAddress = `10.77.${count}.2`;
    this.device = 'eth0';
    this.cleanUp = () => {
      for (const ns of [this.board, this.server]) spawnSync('ip', ['netns', 'del', ns]);
    };
    process.once('exit', this.cleanUp);
    for (const ns of [this.board, this.server]) ip('netns', 'add', ns);
    ip('-n', this.board, 'link', 'add', this.device, 'type', 'veth', 'peer', 'name', this.device, 'netns', this.server);
    ip('-n', this.board, 'addr', 'add', `${this.boardAddress}/24`, 'dev', this.device);
    ip('-n', this.server, 'addr', 'add', `${this.serverAddress}/24`, 'dev', this.device);
    ip('-n', this.board, 'link', 'set', this.device, 'up');
    ip('-n', this.server, 'link', 'set', this.device, 'up');
    ip('-n', this.board, 'link', 'set', 'lo', 'up');
    ip('-n', this.server, 'link', 'set', 'lo', 'up');
  }

  /** Limits what leaves the board to `bytesPerSecond`; `null` lifts the limit. */
  limit(bytesPerSecond) {
    if (bytesPerSecond === null) {
      spawnSync('tc', ['-n', this.board, 'qdisc', 'del', 'dev', this.device, 'root']);
      return;
    }
    execFileSync('tc', ['-n', this.board, 'qdisc', 'replace', 'dev', this.device, 'root', 'tbf',
      'rate', `${Math.round(bytesPerSecond * 8)}bit`, 'burst', '4kb', 'latency', `${QUEUE_MS}ms`]);
  }

  /** Bytes that have left the board so far, headers included. */
  sentBytes() {
    const [link] = JSON.parse(execFileSync('ip', ['-n', this.board, '-j', '-s', 'link', 'show', this.device]));
    return link.stats64.tx.bytes;
  }

  close() {
    process.off('exit', this.cleanUp);
    this.cleanUp();
  }
}

function ip(...args) {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}
