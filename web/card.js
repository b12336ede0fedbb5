// The text card: what the detector says of the newest picture, or the lines that a tutorial camera
// sends beside its pictures. All of it comes from the network and is only ever set as text.

import { classColour, usableObjects } from './boxes.js';
import { UNKNOWN, percent, seconds, setText } from './format.js';

const MAX_OBJECT_ROWS = 50;
const MAX_TEXT_LINES = 200;
const MAX_TEXT_CHARS = 16 << 10;

const text = (value, fallback = UNKNOWN) =>
  typeof value === 'string' && value !== '' ? value.slice(0, 200) : fallback;

/** Lines of a tutorial camera's text: `<br />` separates them, everything else stays as it is. */
export function textLines(value) {
  return String(value ?? '')
    .slice(0, MAX_TEXT_CHARS)
    .split(/<br\s*\/?>|\r?\n/i)
    .slice(0, MAX_TEXT_LINES)
    .map((line) => line.trim());
}

export class DetectionCard {
  #parts;
  #shown = null;

  /** `parts`: `model`, `engine`, `infer`, `rows`, `objects`, `text` elements. */
  constructor(parts) {
    this.#parts = parts;
  }

  /** Shows `detections` (null for none yet) or, where there is one, a tutorial camera's `lines`. */
  update(detections, lines) {
    const shown = lines ?? detections;
    if (shown === this.#shown && shown !== null) return;
    this.#shown = shown;
    const { model, engine, infer, rows, objects, text: textElement } = this.#parts;
    const plain = lines !== null && detections === null;
    rows.hidden = plain;
    objects.hidden = plain;
    objects.previousElementSibling.hidden = plain;
    textElement.hidden = lines === null;
    if (lines !== null) showLines(textElement, lines);
    if (plain) return;
    setText(model, text(detections?.model));
    model.title = text(detections?.model, '');
    const name = text(detections?.engine);
    const accelerator = text(detections?.accelerator, '');
    setText(engine, accelerator ? `${name}, ${accelerator}` : name);
    setText(infer, seconds(detections?.infer_ms));
    showObjects(objects, detections);
  }
}

function showLines(element, lines) {
  while (element.childElementCount > lines.length) element.lastChild.remove();
  lines.forEach((line, i) => {
    const row = element.children[i] ?? element.appendChild(document.createElement('p'));
    setText(row, line);
  });
}

// Rows are kept and refilled: the list changes many times a second.
function showObjects(list, detections) {
  const objects = usableObjects(detections?.objects).slice(0, MAX_OBJECT_ROWS);
  list.dataset.empty = detections ? 'Nothing found in this picture' : 'No detections';
  while (list.childElementCount > objects.length) list.lastChild.remove();
  objects.forEach((object, i) => {
    const row = list.children[i] ?? list.appendChild(objectRow());
    const [label, id, meter, score] = row.children;
    const colour = classColour(object.label);
    if (row.dataset.label !== object.label) {
      row.dataset.label = object.label;
      row.style.setProperty('--class', colour);
    }
    setText(label, object.label);
    setText(id, object.id === null ? '' : `#${object.id}`);
    setText(score, percent(object.score));
    meter.style.setProperty('--score', object.score.toFixed(3));
  });
}

function objectRow() {
  const row = document.createElement('li');
  for (const name of ['label', 'id', 'meter', 'score']) {
    const span = document.createElement('span');
    span.className = name;
    row.append(span);
  }
  return row;
}
