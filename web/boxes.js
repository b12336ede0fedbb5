// Boxes and labels over a picture.

/** Boxes drawn of one frame; a hostile agent may send any number. */
const MAX_BOXES = 100;
const MAX_LABEL_CHARS = 40;
const FONT = '600 12px Inter, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const LABEL_HEIGHT = 20;
const PADDING = 6;

/** Start value of the hash, searched for: it puts the commonest classes' hues far apart. */
const HUE_SEED = 608530;

/** A class has the same colour on every page: its hue (0 to 359) is a hash (FNV-1a) of its name. */
export function classHue(label) {
  let hash = HUE_SEED;
  for (let i = 0; i < label.length; i++) hash = Math.imul(hash ^ label.charCodeAt(i), 0x01000193);
  hash ^= hash >>> 15;
  return (hash >>> 0) % 360;
}

/** Light enough for dark text on it, for every hue. */
export function classColour(label) {
  return `hsl(${classHue(label)} 90% 68%)`;
}

/**
 * The objects that can be drawn: numbers checked, boxes cut to the picture, text cut to length.
 * What comes from the network is not trusted to be what the protocol says.
 */
export function usableObjects(objects) {
  if (!Array.isArray(objects)) return [];
  const usable = [];
  for (const object of objects) {
    if (usable.length === MAX_BOXES) break;
    const { label, score, box, id } = object ?? {};
    if (!Number.isFinite(score) || !Array.isArray(box) || box.length !== 4) continue;
    if (!box.every(Number.isFinite)) continue;
    const [ymin, xmin, ymax, xmax] = box.map((edge) => Math.min(1, Math.max(0, edge)));
    if (ymax <= ymin || xmax <= xmin) continue;
    usable.push({
      label: String(label ?? '?').slice(0, MAX_LABEL_CHARS),
      score,
      box: [ymin, xmin, ymax, xmax],
      id: Number.isFinite(id) ? id : null,
    });
  }
  return usable;
}

/**
 * Draws `objects` (from `usableObjects`) on a transparent canvas of `width` x `height` CSS pixels.
 *
 * `age` is text that says how old the boxes are; empty when they belong to this very picture. Old
 * boxes are dashed.
 */
export function drawBoxes(context, objects, width, height, age) {
  context.clearRect(0, 0, width, height);
  context.font = FONT;
  context.textBaseline = 'middle';
  context.lineJoin = 'round';
  const labels = [];
  // Lowest score first, so that the surest lies on top.
  for (const object of objects.toReversed()) {
    const [ymin, xmin, ymax, xmax] = object.box;
    // The stroke lies inside the box's edge, so that it shows at the picture's edge too.
    const x = Math.round(xmin * width) + 1;
    const y = Math.round(ymin * height) + 1;
    const w = Math.max(2, Math.round(xmax * width) - 1 - x);
    const h = Math.max(2, Math.round(ymax * height) - 1 - y);
    const colour = classColour(object.label);
    context.beginPath();
    context.roundRect(x, y, w, h, 3);
    context.setLineDash([]);
    context.lineWidth = 4;
    context.strokeStyle = 'rgb(0 0 0 / 45%)';
    context.stroke();
    context.setLineDash(age ? [7, 5] : []);
    context.lineWidth = 2;
    context.strokeStyle = colour;
    context.stroke();
    labels.push({ object, x: x - 1, y: y - 1, h: h + 2, colour });
  }
  const placed = [];
  for (const label of labels.reverse()) drawLabel(context, label, width, height, age, placed);
}

function drawLabel(context, { object, x, y, h, colour }, width, height, age, placed) {
  const name = object.id === null ? object.label : `${object.label} #${object.id}`;
  const score = `${Math.round(object.score * 100)}%`;
  const nameWidth = context.measureText(name).width;
  const rest = age ? `${score}  ${age}` : score;
  const labelWidth = nameWidth + context.measureText(rest).width + PADDING * 2 + 6;
  const left = Math.max(0, Math.min(x, width - labelWidth));
  const top = place(left, labelWidth, [y - LABEL_HEIGHT, y, y + h, y + LABEL_HEIGHT], height, placed);
  placed.push({ left, top, right: left + labelWidth });
  context.fillStyle = colour;
  context.beginPath();
  context.roundRect(left, top, labelWidth, LABEL_HEIGHT, 4);
  context.fill();
  const middle = top + LABEL_HEIGHT / 2 + 0.5;
  context.fillStyle = '#0a0c10';
  context.fillText(name, left + PADDING, middle);
  context.fillStyle = 'rgb(10 12 16 / 72%)';
  context.fillText(rest, left + PADDING + nameWidth + 6, middle);
}

// The first of `tops` that lies in the picture and on no other label.
function place(left, labelWidth, tops, height, placed) {
  const inside = tops.filter((top) => top >= 0 && top + LABEL_HEIGHT <= height);
  const free = inside.find((top) =>
    placed.every(
      (other) =>
        left >= other.right ||
        left + labelWidth <= other.left ||
        Math.abs(top - other.top) >= LABEL_HEIGHT,
    ),
  );
  return free ?? inside[0] ?? Math.max(0, height - LABEL_HEIGHT);
}
