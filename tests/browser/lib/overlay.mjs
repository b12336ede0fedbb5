// Reads what is drawn on the page's canvases.

/** A coarse fingerprint of the picture that is shown: changes when the picture does. */
export const fingerprint = (page) =>
  page.evaluate(() => {
    const small = new OffscreenCanvas(16, 16);
    const context = small.getContext('2d');
    context.drawImage(document.querySelector('canvas.frame'), 0, 0, 16, 16);
    return [...context.getImageData(0, 0, 16, 16).data].join(',');
  });

/**
 * The page's state and, taken in the same moment, how much of each edge of the boxes is drawn in
 * the colour of its class, 0 to 1: `{state, drawn: [{top, bottom, left, right}]}`.
 *
 * `objects` are the boxes to look for, `{label, box: [ymin, xmin, ymax, xmax]}` in fractions; without
 * them, those that the page says it shows.
 */
export const look = (page, objects = null) =>
  page.evaluate(async (objects) => {
    const { classColour } = await import('/boxes.js');
    const overlay = document.querySelector('canvas.overlay');
    const probe = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const colourOf = (label) => {
      probe.fillStyle = classColour(label);
      probe.fillRect(0, 0, 1, 1);
      return probe.getImageData(0, 0, 1, 1).data;
    };
    // From here on nothing is awaited: no repaint comes in between.
    const { state } = window.cv;
    const { width, height } = overlay;
    const { data } = overlay.getContext('2d').getImageData(0, 0, width, height);
    const isDrawn = (x, y, wanted) => {
      const at = (Math.round(y) * width + Math.round(x)) * 4;
      return [0, 1, 2].every((i) => Math.abs(data[at + i] - wanted[i]) < 24) && data[at + 3] > 200;
    };
    const drawn = (objects ?? state.panes[0]?.boxesOf?.objects ?? []).map(({ label, box }) => {
      const wanted = colourOf(label);
      const [ymin, xmin, ymax, xmax] = box.map((edge) => Math.min(1, Math.max(0, edge)));
      const [y0, x0, y1, x1] = [ymin * height, xmin * width, ymax * height, xmax * width];
      // The line may lie three pixels to either side; corners are round.
      const share = (at) => {
        let hits = 0;
        const steps = 60;
        for (let i = 0; i < steps; i++) {
          const along = 0.06 + (0.88 * i) / (steps - 1);
          hits += [-3, -2, -1, 0, 1, 2, 3].some((across) => {
            const [x, y] = at(along, across);
            return x >= 0 && y >= 0 && x < width && y < height && isDrawn(x, y, wanted);
          });
        }
        return hits / steps;
      };
      return {
        top: share((t, d) => [x0 + t * (x1 - x0), y0 + d]),
        bottom: share((t, d) => [x0 + t * (x1 - x0), y1 + d]),
        left: share((t, d) => [x0 + d, y0 + t * (y1 - y0)]),
        right: share((t, d) => [x1 + d, y0 + t * (y1 - y0)]),
      };
    });
    return { state, drawn };
  }, objects);

/** How many pixels of the overlay are drawn at all. */
export const inked = (page) =>
  page.evaluate(() => {
    const overlay = document.querySelector('canvas.overlay');
    if (overlay.width === 0 || overlay.height === 0) return 0;
    const { data } = overlay.getContext('2d').getImageData(0, 0, overlay.width, overlay.height);
    let n = 0;
    for (let i = 3; i < data.length; i += 4) n += data[i] > 0;
    return n;
  });
