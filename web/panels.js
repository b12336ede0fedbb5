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
    const withUnit = (value, digits, unit) =>
      Number.isFinite(value) ? `${fixed(value, digits)} ${unit}` : UNKNOWN;
    this.#agent.update([
      ['Captured', withUnit(stats?.capture_fps, 1, 'fps')],
      ['Sent', withUnit(stats?.stream_fps, 1, 'fps')],
      ['Searched', withUnit(stats?.detect_fps, 1, 'fps'), 'Pictures searched for objects'],
      ['Processor', withUnit(stats?.cpu, 0, '%'), 'Percent of one core'],
      ['Memory', withUnit(stats?.rss_mb, 0, 'MB')],
      ['Temperature', withUnit(stats?.temp_c, 0, '°C')],
      ['Round trip', Number.isFinite(stats?.round_trip_ms) ? `${milliseconds(stats.round_trip_ms)} ms` : UNKNOWN, 'Between agent and relay'],
    ]);
    setText($('agent-note'), stats?.reduced_to ? `slow link: ${String(stats.reduced_to).slice(0, 20)}` : '');
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
    const rate = (value) => (value === null || value === undefined ? UNKNOWN : fixed(value, 1));
    setText($('video-fps'), rate(pane?.videoRate.value(now)));
    setText($('detect-fps'), rate(pane?.detectionRate.value(now)));
    const age = pane?.latency.latest?.total ?? null;
    setText($('age'), age === null ? UNKNOWN : String(Math.round(age)));
    $('age').closest('div').title =
      age === null ? 'Unknown until the clocks of agent, relay and page are reconciled' : 'From capture to this screen';
    const counts = pane?.counts;
    setText($('skipped'), counts ? count(counts.skipped + counts.missed) : UNKNOWN);
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
      ['Not sent to this page', count(counts?.missed), 'Skipped by the agent or the relay because something newer was there'],
      ['Skipped by this page', count(counts?.skipped), 'Arrived, but something newer came before the repaint'],
      ['Not a picture', count(counts?.undecodable), 'Arrived, but could not be decoded'],
    );
    this.#drops.update(rows);
  }
}
