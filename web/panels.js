// The numbers beside the picture: connection, meters, agent and drops.

import { UNKNOWN, count, duration, fixed, milliseconds, setText } from './format.js';

const $ = (id) => document.getElementById(id);

const LINK = {
  connecting: 'Connecting',
  connected: 'Connected',
  waiting: 'Reconnecting',
  refused: 'Refused',
  closed: 'Not connected',
};

/** Detections that stop coming for so long are said to be old. */
const STALE_MS = 2000;

/** A definition list whose rows come and go with their names. */
class Rows {
  #list;
  #values = new Map();

  constructor(list) {
    this.#list = list;
  }

  /** `rows`: `[name, text, hint?]` in order. */
  update(rows) {
    const names = rows.map(([name]) => name);
    if (names.join('\n') !== [...this.#values.keys()].join('\n')) this.#rebuild(rows);
    for (const [name, text] of rows) {
      const value = this.#values.get(name);
      setText(value, text);
      value.classList.toggle('unknown', text === UNKNOWN);
    }
  }

  #rebuild(rows) {
    this.#values.clear();
    this.#list.replaceChildren(
      ...rows.map(([name, , hint]) => {
        const row = document.createElement('div');
        const term = document.createElement('dt');
        const value = document.createElement('dd');
        term.textContent = name;
        if (hint) row.title = hint;
        row.append(term, value);
        this.#values.set(name, value);
        return row;
      }),
    );
  }
}

export class Panels {
  #agent = new Rows($('agent'));
  #drops = new Rows($('drops'));

  update({ pane, link, clock, now }) {
    this.#link(link, clock, now);
    this.#meters(pane, now);
    const stats = pane?.stats ?? null;
    this.#agent.update(agentRows(stats, pane?.info));
    setText($('agent-note'), stats?.reduced_to ? `slow link: ${String(stats.reduced_to).slice(0, 20)}` : '');
    const silent = pane?.detectedAt ? now - pane.detectedAt : 0;
    setText($('detections-note'), silent > STALE_MS ? `${duration(silent)} ago` : '');
    this.#dropRows(pane, stats);
  }

  #link(link, clock, now) {
    const element = $('link');
    element.dataset.state = link.state;
    const roundTrip = clock.best?.roundTrip;
    element.title = {
      connected: Number.isFinite(roundTrip) ? `Round trip ${milliseconds(roundTrip / 1000)} ms` : 'Connected',
    }[link.state] ?? link.message;
    const wait = link.retryAt - now;
    let text = LINK[link.state] ?? link.state;
    if (link.state === 'waiting' && wait > 1000) text = `Retry in ${duration(wait + 999)}`;
    setText($('link-text'), text);
  }

  #meters(pane, now) {
    const meter = (id, value, note) => {
      setText($(id), value);
      setText($(`${id.split('-')[0]}-note`), note);
    };
    meter('video-fps', fixed(pane?.videoRate.value(now), 1), pane?.sizeText ?? '');
    meter('detect-fps', fixed(pane?.detectionRate.value(now), 1), pane?.boxesText ?? '');
    const age = pane?.latency.latest?.total ?? null;
    const worst = pane?.latency.worst ?? null;
    let ageNote = '';
    if (pane?.painted) ageNote = pane.latency.newest?.adjusting ? 'clock adjusting' : 'clocks not reconciled';
    if (age !== null) ageNote = worst === null ? '' : `at most ${milliseconds(worst)} ms in a minute`;
    meter('age', fixed(age, 0), ageNote);
    const counts = pane?.counts;
    const skipped = counts ? counts.skipped + counts.missed : null;
    const all = counts ? counts.received + counts.missed : 0;
    const limit = pane?.limit.text;
    meter('skipped', count(skipped), limit ? `limit: ${limit}` : '');
    setText($('skipped').nextElementSibling, all > 0 ? `of ${count(all)}` : 'frames');
  }

  #dropRows(pane, stats) {
    const rows = [];
    const dropped = stats?.dropped;
    if (dropped && typeof dropped === 'object') {
      for (const [reason, n] of Object.entries(dropped).slice(0, 12)) {
        rows.push([`Agent: ${reason.slice(0, 40)}`, count(n)]);
      }
    } else rows.push(['Agent', UNKNOWN]);
    const counts = pane?.counts;
    rows.push(
      ['Above the rate asked for', count(counts?.paced), 'Captured, but neither the settings nor this page ask for so many a second'],
      ['Not sent to this page', count(counts?.missed), 'Skipped by the agent or the relay because something newer was there'],
      ['Skipped by this page', count(counts?.skipped), 'Arrived, but something newer came before the repaint'],
      ['Not a picture', count(counts?.undecodable), 'Arrived, but could not be decoded'],
    );
    this.#drops.update(rows);
  }
}

function searchedText(stats, withUnit) {
  const searched = stats?.detect_fps;
  const unchanged = stats?.unchanged_fps;
  if (!Number.isFinite(searched) || !(unchanged > 0)) {
    return withUnit(searched, 1, 'fps');
  }
  return `${fixed(searched, 1)} of ${fixed(searched + unchanged, 1)} fps, the rest unchanged`;
}

function agentRows(stats, info) {
  const withUnit = (value, digits, unit) =>
    Number.isFinite(value) ? `${fixed(value, digits)} ${unit}` : UNKNOWN;
  const offset = info?.clock_offset_us ?? stats?.clock_offset_us;
  return [
    ['Captured', withUnit(stats?.capture_fps, 1, 'fps'), 'Pictures from the camera'],
    ['Sent', withUnit(stats?.stream_fps, 1, 'fps'), 'Pictures to the relay'],
    ['Searched', searchedText(stats, withUnit), 'Pictures searched for objects; with --detect-on motion those in which something moved'],
    ['Objects', stats?.objects_found ? `${count(stats.objects_found)}, ${count(stats.objects_lost ?? 0)} left` : UNKNOWN, 'Followed since the agent started'],
    ['Processor', withUnit(stats?.cpu, 0, '%'), 'Percent of one core'],
    ['Memory', withUnit(stats?.rss_mb, 0, 'MB'), 'Resident memory'],
    ['Temperature', withUnit(stats?.temp_c, 0, '°C'), 'Of the hottest sensor'],
    ['Round trip', Number.isFinite(stats?.round_trip_ms) ? `${milliseconds(stats.round_trip_ms)} ms` : UNKNOWN, 'Between agent and relay'],
    ['Clock', clockText(offset), 'How far the agent’s clock is ahead of the relay’s; latencies are corrected for it'],
    ['Viewers', count(info?.viewers), 'Pages that watch this camera'],
  ];
}

function clockText(relayAheadUs) {
  if (!Number.isFinite(relayAheadUs)) return UNKNOWN;
  const ms = -relayAheadUs / 1000;
  if (Math.abs(ms) < 0.05) return '0 ms';
  const sign = ms < 0 ? '−' : '+';
  return Math.abs(ms) < 10_000 ? `${sign}${milliseconds(Math.abs(ms))} ms` : `${sign}${duration(Math.abs(ms))}`;
}
