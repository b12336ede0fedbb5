// The page's wiring: connection, choice of cameras, switches and panels.
//
//   socket --frame, detections, stats, text--> pane of that camera --> picture (on repaint)
//   four times a second: every number and notice on the page

import { Access, useToken } from './access.js';
import { Account } from './account.js';
import { CameraChooser } from './cameras.js';
import { DetectionCard, textLines } from './card.js';
import { RelayClock, now, pageNow, since } from './clock.js';
import { setText } from './format.js';
import { LatencyCard } from './latency.js';
import { Pane } from './pane.js';
import { Panels } from './panels.js';
import { showNotice } from './notice.js';
import { SignIn } from './signin.js';
import { Socket } from './socket.js';

const UPDATE_MS = 250;
/**
 * Updates that come so much late mean that the page slept: its machine, or the tab. The relay drops a
 * page after ten seconds; and what was on its way is as old as the sleep.
 */
const ASLEEP_MS = 5000;
/** Frames a second asked for each picture when many are side by side. */
const WALL_MAX_FPS = 10;
const WALL_FULL_RATE = 4;
/** Most pictures side by side; the relay allows a viewer so many by default. */
const WALL_MAX = 16;
/** A second click so soon after a choice belongs to the choice. */
const DOUBLE_CLICK_MS = 600;

const $ = (id) => document.getElementById(id);
const paneTemplate = $('pane');
const stage = $('stage');

const access = new Access(() => account.update());
const signIn = new SignIn(access, entered);
const account = new Account(access, { signIn: () => signIn.ask(), left });

const link = { state: 'connecting', everConnected: false, lostAt: 0, retryAt: 0, message: '', refusal: '' };
const wish = readHash();
/** Panes on the stage, by camera. */
const panes = new Map();
let cameras = null;
let inStep = localStorage.getItem('mode') === 'step';
let boxes = true;
let repaint = 0;
let letGo = false;
let chosenAt = 0;
let awakeAt = now();
let shownChoice;

const socket = new Socket(socketUrl(), '/web', {
  auth: () => (wish.token ? { token: wish.token } : undefined),
  state: onLink,
  event: onEvent,
});
const clock = new RelayClock((t0) => socket.emit('clock', { t0 }));

const chooser = new CameraChooser($('cameras'), (name) => choose(name));
const detectionCard = new DetectionCard({
  model: $('model'),
  engine: $('engine-name'),
  infer: $('infer'),
  rows: $('engine'),
  objects: $('objects'),
  text: $('text'),
});
const latencyCard = new LatencyCard({ hops: $('hops'), total: $('latency-total'), graph: $('graph') });
const panels = new Panels();

const services = {
  wake() {
    if (!repaint) repaint = requestAnimationFrame(paint);
  },
  emit: (...args) => socket.emit(...args),
  clock,
  open: (name) => choose(name),
  showBoxes: () => boxes,
};

// ---- connection

function socketUrl() {
  const url = new URL('socket.io/?EIO=4&transport=websocket', document.baseURI);
  url.hash = '';
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}

function onLink(state, { retryAt = 0, message = '', reason = '' }) {
  if (link.state === 'connected' && state !== 'connected') {
    link.lostAt = performance.now();
    clock.stop();
    for (const pane of panes.values()) pane.disconnected();
  }
  link.state = state;
  link.retryAt = retryAt;
  if (state === 'connected') {
    link.everConnected = true;
    link.message = '';
    link.refusal = '';
    clock.start();
    watchAll();
  } else if (message || reason) {
    link.message = message || reason;
    if (message) link.refusal = message;
  }
  if (state === 'refused') refused(message);
  update();
}

function onEvent(name, [first, second]) {
  lookAwake();
  switch (name) {
    case 'frame':
      panes.get(first?.camera)?.frame(first, second);
      break;
    case 'detections':
      panes.get(first?.camera)?.detected(first);
      break;
    case 'stats': {
      const pane = panes.get(first?.camera);
      if (pane) pane.stats = first;
      break;
    }
    case 'text': {
      const pane = panes.get(first?.camera);
      if (pane) pane.lines = textLines(first.text);
      break;
    }
    case 'cameras':
      if (Array.isArray(first)) onCameras(first);
      break;
    case 'clock':
      clock.answer(first);
      break;
    case 'denied':
      panes.get(first?.camera)?.deny(String(first?.message ?? 'you may not see it').slice(0, 300));
      break;
    case 'waiting':
      account.waiting(first);
      break;
    case 'refused':
      link.refusal = String(first?.message ?? 'refused').slice(0, 300);
      break;
  }
}

function onCameras(list) {
  cameras = list.filter((camera) => typeof camera?.name === 'string');
  arrange();
  update();
}

// ---- which cameras are on the stage

function readHash() {
  const hash = new URLSearchParams(location.hash.slice(1));
  const token = hash.get('token') ?? sessionStorage.getItem('token');
  if (hash.has('token')) {
    // Kept for this tab, and out of the address that people read and copy.
    sessionStorage.setItem('token', token);
    hash.delete('token');
    history.replaceState(null, '', `#${hash}`);
  }
  if (hash.has('set-up')) {
    access.setUpLink = hash.get('set-up');
    hash.delete('set-up');
    history.replaceState(null, '', hash.size ? `#${hash}` : location.pathname + location.search);
  }
  const camera = hash.get('camera') ?? undefined;
  return { token, camera: hash.has('all') ? null : camera };
}

function choose(name) {
  chosenAt = performance.now();
  wish.camera = name;
  const hash = name === null ? 'all' : new URLSearchParams({ camera: name });
  history.replaceState(null, '', `#${hash}`);
  arrange();
  update();
}

/** The selected camera's name, null for all, undefined while there is none to select. */
function selected() {
  if (wish.camera !== undefined) return wish.camera;
  const list = cameras ?? [];
  return (list.find(({ state }) => state === 'live') ?? list[0])?.name;
}

function arrange() {
  const choice = selected();
  // Without a wish, the first choice stays: another camera's coming must not switch the picture.
  if (wish.camera === undefined && choice !== undefined) wish.camera = choice;
  const names = choice === null ? wallNames() : [choice];
  const wanted = names.filter((name) => name !== undefined);
  for (const [name, pane] of panes) {
    if (wanted.includes(name)) continue;
    pane.unwatch();
    pane.element.remove();
    panes.delete(name);
  }
  for (const name of wanted) if (!panes.has(name)) addPane(name);
  document.body.classList.toggle('wall', choice === null);
  const info = wanted.length === 1 && cameras?.find(({ name }) => name === wanted[0]);
  if (info?.width > 0 && info.height > 0) {
    stage.style.setProperty('--stage-aspect', Math.min(2.4, Math.max(0.9, info.width / info.height)));
  } else stage.style.removeProperty('--stage-aspect');
  layWall();
  chooser.update(cameras ?? [], choice);
  if (choice !== shownChoice) chooser.reveal();
  shownChoice = choice;
  watchAll();
}

/** The cameras for the wall; where they are too many, those that are live come first. */
function wallNames() {
  const all = cameras ?? [];
  const live = all.filter(({ state }) => state === 'live');
  const chosen = [...new Set([...live, ...all])].slice(0, WALL_MAX);
  return all.filter((camera) => chosen.includes(camera)).map(({ name }) => name);
}

/** As many columns as make the pictures largest. */
function layWall() {
  const { clientWidth: width, clientHeight: height } = stage;
  let best = { columns: 1, size: 0 };
  for (let columns = 1; columns <= panes.size; columns++) {
    const rows = Math.ceil(panes.size / columns);
    const size = Math.min(width / columns, ((height / rows) * 4) / 3);
    if (size > best.size) best = { columns, size };
  }
  stage.style.setProperty('--columns', best.columns);
}

function addPane(name) {
  const pane = new Pane(name, paneTemplate, services);
  pane.inStep = inStep;
  panes.set(name, pane);
  stage.append(pane.element);
}

/** Asks for what is on the stage, while somebody can see it. */
function watchAll() {
  if (!socket.connected || document.hidden || letGo) return;
  const maxFps = panes.size > WALL_FULL_RATE ? WALL_MAX_FPS : 0;
  for (const pane of panes.values()) pane.watch(maxFps);
}

function unwatchAll() {
  for (const pane of panes.values()) pane.unwatch();
}

function focused() {
  const choice = selected();
  return choice === null ? panes.values().next().value : panes.get(choice);
}

// ---- painting and numbers

function paint() {
  repaint = 0;
  if (letGo) {
    letGo = false;
    watchAll();
  }
  for (const pane of panes.values()) pane.paint();
}

/** Looks whether the page has slept. In a hidden tab, where nothing is watched, timers are slow anyway. */
function lookAwake() {
  const slept = since(awakeAt);
  awakeAt = now();
  if (slept > ASLEEP_MS && !document.hidden && socket.connected) socket.reopen();
}

function update() {
  const relayUs = clock.toRelay(pageNow());
  const relayNow = relayUs === null ? null : relayUs / 1000;
  for (const pane of panes.values()) {
    pane.update(link, cameras?.find(({ name }) => name === pane.name), relayNow);
  }
  if (!letGo && [...panes.values()].some((pane) => pane.unseen)) {
    letGo = true;
    unwatchAll();
  }
  const pane = focused();
  detectionCard.update(pane?.detections ?? null, pane?.lines ?? null);
  latencyCard.update(pane?.latency);
  panels.update({ pane, link, clock, cameras, now: performance.now() });
  showNotice($('empty'), panes.size > 0 ? null : emptyNotice());
  const trouble = link.state !== 'connected' ? 'not connected' : pane?.notice?.kind;
  setTitle([pane?.name, trouble !== 'wait' && trouble].filter(Boolean).join(', '));
}

function setTitle(text) {
  const title = text ? `${text} – cv-agent` : 'cv-agent';
  if (document.title !== title) document.title = title;
}

function emptyNotice() {
  if (link.state !== 'connected' && access.info && !access.info.may_watch) {
    return { kind: 'lost', title: 'This relay is closed', text: access.info.lacks ?? '' };
  }
  if (link.state !== 'connected' || cameras === null) {
    const text = link.message ? `${link.message}. Trying again by itself.` : '';
    return { kind: 'wait', title: 'Connecting to the relay', text };
  }
  return {
    kind: 'empty',
    title: 'No cameras yet',
    text: 'Start an agent on the machine that has one; its picture appears here by itself.',
    command: `cv-agent --camera 0 --server ${location.origin}`,
  };
}

// ---- controls

function setMode(step) {
  inStep = step;
  localStorage.setItem('mode', step ? 'step' : 'live');
  for (const pane of panes.values()) pane.inStep = step;
  for (const button of $('mode').children) {
    const on = (button.dataset.mode === 'step') === step;
    button.setAttribute('aria-checked', String(on));
    button.tabIndex = on ? 0 : -1;
  }
}

function toggleBoxes() {
  boxes = !boxes;
  $('boxes').setAttribute('aria-pressed', String(boxes));
  services.wake();
}

function toggleTheme() {
  const theme = document.documentElement.dataset.theme === 'light' ? 'dark' : 'light';
  localStorage.setItem('theme', theme);
  dispatchEvent(new Event('themechange'));
}

function toggleFull() {
  if (document.fullscreenElement) document.exitFullscreen();
  else stage.requestFullscreen?.().catch(() => {});
}

async function save() {
  const pane = focused();
  const blob = await pane?.save();
  if (!blob) return;
  const anchor = document.createElement('a');
  anchor.href = URL.createObjectURL(blob);
  anchor.download = `${pane.name} ${new Date().toISOString().replace(/[:.]/g, '-')}.png`;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 10_000);
}

/** The relay does not let us in: asks for what is missing, if somebody here can give it. */
async function refused(message) {
  const info = await access.refresh();
  // Too many viewers, perhaps: it is tried again by itself.
  if (info ? info.may_watch && !/token/i.test(message) : !/token/i.test(message)) return;
  if (socket.connected) return;
  if (!info || (info.token && !info.users && !info.set_up)) {
    socket.close();
    signIn.askForToken(wish.token ? message : 'It was set when the relay was started.');
  } else if (info.users || info.set_up === 'here' || access.setUpLink) {
    socket.close();
    signIn.ask(/has ended/.test(message) ? 'Your session has ended.' : '');
  } else {
    link.refusal = info.lacks;
    update();
  }
}

/** Somebody may come in now, perhaps with a token. */
function entered(token) {
  if (token) {
    wish.token = token;
    useToken(token);
    sessionStorage.setItem('token', token);
    access.refresh();
  }
  socket.close();
  socket.open();
}

/** Somebody has signed out. */
function left() {
  wish.token = undefined;
  useToken(undefined);
  sessionStorage.removeItem('token');
  socket.close();
  socket.open();
}

$('mode').addEventListener('click', ({ target }) => {
  if (target.dataset.mode) setMode(target.dataset.mode === 'step');
});
$('mode').addEventListener('keydown', (event) => {
  if (!['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown'].includes(event.key)) return;
  event.preventDefault();
  setMode(!inStep);
  $('mode').querySelector('[aria-checked="true"]').focus();
});
stage.addEventListener('dblclick', () => {
  if (performance.now() - chosenAt > DOUBLE_CLICK_MS) toggleFull();
});
$('full').hidden = !stage.requestFullscreen; // phones that show only videos full screen
new ResizeObserver(layWall).observe(stage);
$('boxes').addEventListener('click', toggleBoxes);
$('theme').addEventListener('click', toggleTheme);
$('full').addEventListener('click', toggleFull);
$('save').addEventListener('click', save);
document.addEventListener('click', async ({ target }) => {
  if (!target.matches?.('.command button')) return;
  try {
    await navigator.clipboard.writeText(target.previousElementSibling.textContent);
    setText(target, 'Copied');
  } catch {
    // Without https there is no clipboard: select the text, for the person to copy it.
    getSelection().selectAllChildren(target.previousElementSibling);
  }
  setTimeout(() => setText(target, 'Copy'), 2000);
});
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, dialog')) return;
  const digit = /^[0-9]$/.test(event.key) ? Number(event.key) : null;
  if (digit === 0 && cameras?.length > 1) choose(null);
  else if (digit && cameras?.[digit - 1]) choose(cameras[digit - 1].name);
  else ({ l: () => setMode(!inStep), b: toggleBoxes, d: toggleTheme, f: toggleFull, s: save })[event.key]?.();
});
document.addEventListener('visibilitychange', () => {
  awakeAt = now();
  if (document.hidden) unwatchAll();
  else if (socket.silent) socket.reopen();
  else if (!socket.connected) socket.open();
  else watchAll();
});
addEventListener('online', () => socket.open());
addEventListener('hashchange', () => {
  const { camera } = readHash();
  if (camera !== undefined) choose(camera);
});

// A read-only view for tests and for curious people.
Object.defineProperty(window, 'cv', {
  value: Object.freeze({
    get state() {
      const describe = (pane) => ({
        camera: pane.name,
        seq: pane.painted?.meta.seq ?? null,
        capturedUs: pane.painted?.meta.captured_us ?? null,
        width: pane.painted?.width ?? 0,
        height: pane.painted?.height ?? 0,
        counts: { ...pane.counts },
        videoFps: pane.videoRate.value(),
        detectFps: pane.detectionRate.value(),
        latency: pane.latency.latest,
        latencyWorst: pane.latency.worst,
        hops: pane.latency.newest,
        boxesAgeUs: pane.boxesAge,
        boxesOf: pane.boxesAge === null ? null : pane.boxesOf,
        notice: pane.notice ?? null,
        watching: pane.watching,
      });
      return structuredClone({
        link: link.state,
        clock: clock.best,
        selected: selected(),
        mode: inStep ? 'step' : 'live',
        cameras,
        panes: [...panes.values()].map(describe),
      });
    },
  }),
});

setMode(inStep);
setInterval(() => {
  lookAwake();
  update();
}, UPDATE_MS);
useToken(wish.token);
access.refresh().then((info) => {
  // Whoever opens the set-up link wants to use it, also where watching is open.
  if (access.setUpLink && info) signIn.ask();
});
socket.open();
update();
