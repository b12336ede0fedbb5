// What stands over a picture when there is none, or when it is not the present: why, since when, and
// what to do about it.

import { clockTime, duration, setText } from './format.js';

/** A live camera whose pictures stop coming for so long gets a notice. */
const SILENCE_MS = 3000;
/** A short loss of the relay is shown in the bar alone; a notice would only flash. */
const LOSS_MS = 800;

/**
 * The notice for one camera, or null when its picture is what it should be. Titles are read out by
 * screen readers when they change, so what changes every second stands in the text.
 *
 * `denied` is why the relay does not show this camera, `link` the connection's state, `name` the camera, `info` its entry in `cameras`, `stats` its
 * newest ones, `paintedAt` when it was last painted (0 for never), `startedAt` since when frames are
 * expected; all times are milliseconds: `link.*`, `paintedAt`, `startedAt` and `now` of
 * `performance.now()`, `relayNow` of the relay's clock since the epoch (null while it is unknown).
 * Times of day are shown by this machine's clock: the relay's and the agent's may be wrong.
 */
export function noticeFor({ denied, link, name, info, stats, paintedAt, startedAt, now, relayNow }) {
  const known = (us) => Number.isFinite(us) && us > 0 && relayNow !== null;
  const ageOf = (us) => Math.max(0, relayNow - us / 1000);
  const since = (us) => (known(us) ? ` since ${clockTime(Date.now() - ageOf(us))}` : '');
  const ago = (us) => (known(us) ? `for ${duration(ageOf(us))}` : '');
  if (link.state !== 'connected') {
    if (!link.everConnected) return { kind: 'wait', title: 'Connecting to the relay' };
    const lostMs = now - link.lostAt;
    if (lostMs < LOSS_MS) return null;
    return {
      kind: 'lost',
      title: 'Relay lost',
      text: sentences(`${duration(lostMs)} ago`, link.refusal, 'Reconnecting by itself'),
    };
  }
  if (denied) return { kind: 'offline', title: 'Not for you to see', text: sentences(denied) };
  if (!info) {
    return { kind: 'wait', title: `Waiting for ${name}`, text: 'No agent of this name is connected.' };
  }
  if (info.state === 'offline') {
    return {
      kind: 'offline',
      title: `Camera offline${since(info.since_us)}`,
      text: `Its agent has not been connected ${ago(info.since_us)}`.trim() + '.',
    };
  }
  if (info.state === 'fault' || stats?.camera_fault) {
    const stamp = stats?.camera_gone_since_us;
    const gone = known(stamp) && Number.isFinite(info.clock_offset_us) ? stamp + info.clock_offset_us : info.since_us;
    const fault = info.fault ?? stats?.camera_fault ?? 'its agent is connected, but gets no pictures';
    return {
      kind: 'fault',
      title: `Camera gone${since(gone)}`,
      text: sentences(String(fault), `gone ${ago(gone)}`.trim()),
    };
  }
  if (!paintedAt) return { kind: 'wait', title: 'Waiting for the first picture' };
  const silence = now - Math.max(paintedAt, startedAt);
  if (silence > SILENCE_MS) {
    return {
      kind: 'stale',
      title: 'No picture',
      text: `Nothing has come for ${duration(silence)}, though the camera counts as live.`,
    };
  }
  return null;
}

function sentences(...parts) {
  return parts
    .filter(Boolean)
    .map((part) => `${part[0].toUpperCase()}${part.slice(1).replace(/\.$/, '')}.`)
    .join(' ');
}

/** Shows a notice from `noticeFor` in its element; hides it for null. */
export function showNotice(element, notice) {
  element.hidden = notice === null;
  if (!notice) return;
  element.dataset.kind = notice.kind;
  setText(element.querySelector('.notice-title'), notice.title);
  setText(element.querySelector('.notice-text'), notice.text ?? '');
  const command = element.querySelector('.command');
  command.hidden = !notice.command;
  if (notice.command) setText(command.querySelector('code'), notice.command);
}
