// Figures as text: one row each, ours first, peers of the same run beside it, the bound last.

const NUMBER = new Intl.NumberFormat('en', { maximumSignificantDigits: 4, useGrouping: false });

const show = (value) => (value === undefined || value === null ? ''
  : typeof value === 'number' && !Number.isFinite(value) ? 'none'
  : typeof value === 'number' ? NUMBER.format(value) : String(value));

/** Whether a figure is there and below its bound: nothing measured is nothing met. */
export const below = (value, bound) => Number.isFinite(value) && value < bound;

/**
 * Rows are `{what, unit, ours, others: {name: value}, bound: text, met: boolean}`; a row without
 * `met` only informs.
 */
export function table(rows) {
  const others = [...new Set(rows.flatMap((row) => Object.keys(row.others ?? {})))];
  const head = ['', 'ours', ...others, 'bound', ''];
  const body = rows.map((row) => [
    row.unit ? `${row.what}, ${row.unit}` : row.what,
    show(row.ours),
    ...others.map((name) => show(row.others?.[name])),
    row.bound ?? '',
    row.met === undefined ? '' : row.met ? 'met' : 'MISSED',
  ]);
  const widths = head.map((_, column) => Math.max(3, ...[head, ...body].map((cells) => cells[column].length)));
  const line = (cells) => `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
}
