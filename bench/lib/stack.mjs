// One client, one server, one viewer: what arrives, and what each of the two programs spends on it.
import { startLoad } from './programs.mjs';
import { usage } from './usage.mjs';

/**
 * `server` runs already, `start()` starts the client; without it, the server is the client too, as a
 * streamer is. The viewer comes first: the tutorial's server, once it is busy, lets nobody in. Resolves
 * to what the load generator measured, with `client` and `server` as `{percent, msPerPicture, mb}`, and
 * `searched`, the pictures that the client searched in a second. The client has ended then.
 */
export async function measure(server, start, { seconds, warmup, ...options }) {
  const viewer = startLoad({ url: server.url, seconds: seconds + 2, warmup, reconnect: true, ...options });
  await server.line(/(web client|viewer).*connected/i);
  const client = start ? start() : server;
  if (start) await client.line(/Successfully connected/);
  const spent = await Promise.all([client, server].map(({ pid }) => usage(pid, warmup + 1, seconds)));
  const result = await viewer.result();
  const [ofClient, ofServer] = spent.map(({ cpuSeconds, residentMb }) => ({
    percent: (cpuSeconds / seconds) * 100,
    msPerPicture: (cpuSeconds * 1000) / seconds / result.fps.min,
    mb: residentMb,
  }));
  await client.stop();
  // The tutorial's client searches every picture that it takes.
  const words = client.lines.map((line) => /(\S+) searched|approx\. FPS: (\S+)$/.exec(line)).find(Boolean);
  const searched = words && Number(words[1] ?? words[2]);
  return { ...result, client: ofClient, server: ofServer, searched };
}
