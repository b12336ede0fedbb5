// Numbers as text. Unknown is always the same dash.

export const UNKNOWN = '–';

const known = (value) => typeof value === 'number' && Number.isFinite(value);

export const fixed = (value, digits) => (known(value) ? value.toFixed(digits) : UNKNOWN);

/** Milliseconds: whole, but for small ones. */
export function milliseconds(value) {
  if (!known(value)) return UNKNOWN;
  return Math.abs(value) < 9.95 ? value.toFixed(1) : Math.round(value).toLocaleString('en');
}

export const count = (value) => (known(value) ? value.toLocaleString('en') : UNKNOWN);

/** `87.50%` */
export const percent = (score) => (known(score) ? `${(score * 100).toFixed(2)}%` : UNKNOWN);

/** `0.012 s` */
export const seconds = (ms) => (known(ms) ? `${(ms / 1000).toFixed(3)} s` : UNKNOWN);

/** `12 s`, `3 min`, `2 h 5 min`, `4 days` */
export function duration(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  const min = Math.floor(s / 60);
  if (min < 60) return `${min} min`;
  const h = Math.floor(min / 60);
  if (h < 24) return min % 60 ? `${h} h ${min % 60} min` : `${h} h`;
  const days = Math.floor(h / 24);
  return days === 1 ? '1 day' : `${days} days`;
}

/** `14:02:11`, with the date when it was not today. */
export function clockTime(epochMs, now = new Date()) {
  const then = new Date(epochMs);
  const time = then.toLocaleTimeString([], { hour12: false });
  return then.toDateString() === now.toDateString()
    ? time
    : `${then.toLocaleDateString([], { day: 'numeric', month: 'short' })} ${time}`;
}

/** Sets text only when it changed: most numbers stay as they are. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
