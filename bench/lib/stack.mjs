// One client, one server, one viewer: what arrives, and what each of the two programs spends on it.
import { startLoad } from './programs.mjs';
import { usage } from './usage.mjs';

/**
 * `server` runs already, `start()` starts the client. The viewer comes first: the tutorial's server,
 * once it is busy, lets nobody in. Resolves to what the load generator measured, with `client` and
 * `server` as `{percent, msPerPicture, mb}`; both programs still run.
 */
export async function measure(server, start, { seconds, warmup, ...options }) {
  const viewer = startLoad({ url: server.url, seconds: seconds + 2, warmup, reconnect: true, ...options });
  await server.line(/(web client|viewer).*connected/i);
  const client = start();
  await client.line(/Successfully connected/);
  const spent = await Promise.all([client, server].map(({ pid }) => usage(pid, warmup + 1, seconds)));
  const result = await viewer.result();
  const [ofClient, ofServer] = spent.map(({ cpuSeconds, residentMb }) => ({
    percent: (cpuSeconds / seconds) * 100,
    msPerPicture: (cpuSeconds * 1000) / seconds / result.fps.min,
    mb: residentMb,
  }));
  await client.stop();
  return { ...result, client: ofClient, server: ofServer };
}
