// Administration: agents, people, tokens, sessions and the audit log, in one dialog.

import { request } from './access.js';
import { el } from './dom.js';
import { clockTime, setText } from './format.js';

const DAY_US = 24 * 3600e6;

const when = (us) => (Number.isFinite(us) ? clockTime(us / 1000) : '–');

/** Each tab: its name, what it asks for, and how it shows the answer. */
const TABS = [
  { name: 'Agents', load: () => request('GET', 'agents'), show: agents },
  { name: 'People', load: () => request('GET', 'users'), show: people },
  { name: 'Tokens', load: () => request('GET', 'tokens'), show: tokens },
  { name: 'Sessions', load: () => request('GET', 'sessions'), show: sessions },
  { name: 'Log', load: () => request('GET', 'audit'), show: log },
];

/** Opens the dialog. */
export function openAdministration() {
  document.getElementById('administration')?.remove();
  const body = el('div', { class: 'admin-body', tabindex: -1 });
  const error = el('p', { class: 'error', role: 'alert' });
  let current = TABS[0];

  /** Does something, says what went wrong, and shows the tab as it is afterwards. */
  const act = async (work) => {
    setText(error, '');
    try {
      const result = await work();
      await refresh();
      return result;
    } catch (err) {
      setText(error, err.status ? err.message : 'The relay cannot be reached.');
      return undefined;
    }
  };
  const refresh = async () => {
    const tab = current;
    const answer = await tab.load();
    if (tab === current) body.replaceChildren(...tab.show(answer, act).filter(Boolean));
  };
  const choose = (tab) => {
    current = tab;
    for (const button of tabs) button.setAttribute('aria-selected', String(button.textContent === tab.name));
    body.replaceChildren();
    act(async () => {});
  };
  const tabs = TABS.map((tab) =>
    el('button', { type: 'button', role: 'tab', onclick: () => choose(tab) }, tab.name),
  );
  const close = el('button', { type: 'button', class: 'icon', 'aria-label': 'Close', onclick: () => dialog.close() }, '×');
  const again = () => current === TABS[0] && act(async () => {});
  const dialog = el(
    'dialog',
    {
      id: 'administration',
      class: 'admin',
      'aria-labelledby': 'admin-title',
      onclose: () => {
        document.removeEventListener('waitingchange', again);
        dialog.remove();
      },
    },
    el('header', {}, el('h2', { id: 'admin-title' }, 'Administration'), close),
    el('div', { class: 'tabs', role: 'tablist' }, tabs),
    error,
    body,
  );
  document.addEventListener('waitingchange', again);
  document.body.append(dialog);
  dialog.showModal();
  choose(TABS[0]);
}

// ---- parts that every tab uses

const button = (text, onclick, kind = 'quiet') => el('button', { type: 'button', class: kind, onclick }, text);

/** A button that asks once more, in its own place, before it does what cannot be undone. */
function careful(text, question, work) {
  const ask = button(text, () => {
    ask.replaceWith(sure);
    sure.querySelector('button').focus();
  });
  const back = () => sure.replaceWith(ask);
  const sure = el('span', { class: 'sure' }, question, button('Yes', work, 'danger'), button('No', back));
  return ask;
}

const entry = (title, details, ...actions) =>
  el(
    'li',
    {},
    el('div', { class: 'what' }, el('b', {}, title), el('span', {}, details)),
    el('div', { class: 'actions' }, actions),
  );

const list = (items, empty) =>
  items.length ? el('ul', { class: 'entries' }, items) : el('p', { class: 'empty' }, empty);

const field = (label, control, hint) =>
  el('label', { class: 'field' }, el('span', {}, label), control, hint ? el('small', {}, hint) : null);

const choice = (options, selected) =>
  el(
    'select',
    {},
    Object.entries(options).map(([value, text]) => el('option', { value, selected: value === selected }, text)),
  );

/** A form that stands folded away below the list. */
function adding(title, submit, ...fields) {
  return el(
    'details',
    {},
    el('summary', {}, title),
    el(
      'form',
      {
        onsubmit(event) {
          event.preventDefault();
          submit();
        },
      },
      fields,
      el('button', { type: 'submit', class: 'primary' }, title),
    ),
  );
}

// ---- the tabs

function agents({ waiting, accepted }, act) {
  const post = (path, body) => () => act(() => request('POST', `agents/${path}`, body));
  const asking = waiting.map(({ name, code, address, version, since_us, replaces }) =>
    entry(
      `${name}, code ${code}`,
      `wants to join since ${when(since_us)}, from ${address}, version ${version || 'unknown'}` +
        (replaces ? '; takes the name from the agent below' : ''),
      button('Accept', post('accept', { name, code }), 'primary'),
      button('Turn away', post('refuse', { code })),
    ),
  );
  const known = accepted.map(({ name, accepted_us, accepted_by, revoked_us, state }) =>
    entry(
      name,
      revoked_us
        ? `revoked ${when(revoked_us)}`
        : `${state ?? 'not seen lately'}; accepted ${when(accepted_us)} by ${accepted_by}`,
      revoked_us
        ? button('Accept again', post('accept', { name }))
        : careful('Revoke', 'Disconnect it now? ', post('revoke', { name })),
      careful('Forget', 'Free the name? ', post('remove', { name })),
    ),
  );
  return [
    el('h3', {}, 'Waiting'),
    list(asking, 'No agent waits. Start one on the machine that has the camera; it asks here by itself.'),
    el('h3', {}, 'Accepted'),
    list(known, 'No agent has been accepted yet.'),
  ];
}

const cameraList = (text) => text.split(',').map((name) => name.trim()).filter(Boolean);

function people(users, act) {
  const name = el('input', { required: true, maxlength: 64, autocomplete: 'off' });
  const password = el('input', { type: 'password', required: true, minlength: 8, autocomplete: 'new-password' });
  const role = choice({ viewer: 'Viewer', admin: 'Administrator' });
  const cameras = el('input', { autocomplete: 'off' });
  const add = () =>
    act(() =>
      request('POST', 'users', {
        name: name.value,
        password: password.value,
        role: role.value,
        cameras: cameras.value.trim() && role.value === 'viewer' ? cameraList(cameras.value) : null,
      }),
    );
  const items = users.map((user) => {
    const path = `users/${encodeURIComponent(user.name)}`;
    const rights = choice({ viewer: 'Viewer', admin: 'Administrator' }, user.role);
    rights.setAttribute('aria-label', `Role of ${user.name}`);
    rights.addEventListener('change', () => act(() => request('PATCH', path, { role: rights.value })));
    const seen = user.role === 'admin' || user.cameras === null ? 'all cameras' : user.cameras.join(', ') || 'no camera';
    return entry(
      user.name,
      `${seen}; since ${when(user.created_us)}`,
      rights,
      careful('Remove', 'Remove and sign out? ', () => act(() => request('DELETE', path))),
    );
  });
  return [
    list(items, 'Nobody yet.'),
    adding(
      'Add a person',
      add,
      field('Name', name),
      field('Password', password, 'At least 8 characters'),
      field('Role', role),
      field('Cameras', cameras, 'Names separated by commas; nothing for all'),
    ),
  ];
}

function tokens(known, act) {
  const name = el('input', { required: true, maxlength: 64, autocomplete: 'off' });
  const scope = choice({ view: 'Watch', admin: 'Administer' });
  const days = el('input', { type: 'number', min: 1, max: 36500, value: 365 });
  const made = el('p', { class: 'made', hidden: true });
  const add = async () => {
    const answer = await act(() =>
      request('POST', 'tokens', { name: name.value, scope: scope.value, days: days.value ? Number(days.value) : undefined }),
    );
    if (!answer) return;
    const shown = document.querySelector('#administration .made');
    shown.hidden = false;
    shown.replaceChildren('The token, which is shown only now: ', el('code', {}, answer.token));
  };
  const items = known.map((token) =>
    entry(
      token.name,
      `${token.scope === 'admin' ? 'may administer' : 'may watch'}; made ${when(token.created_us)} by ${token.created_by}; ` +
        expiry(token.expires_us),
      careful('Revoke', 'Revoke it now? ', () =>
        act(() => request('DELETE', `tokens/${encodeURIComponent(token.name)}`)),
      ),
    ),
  );
  return [
    made,
    list(items, 'No program has a token yet.'),
    adding(
      'Make a token',
      add,
      field('For', name, 'What it is for, such as home-assistant'),
      field('May', scope),
      field('Days', days, 'Nothing for no end'),
    ),
  ];
}

function expiry(us) {
  if (!us) return 'does not expire';
  const days = Math.ceil((us - Date.now() * 1000) / DAY_US);
  return days > 0 ? `expires in ${days} ${days === 1 ? 'day' : 'days'}` : 'expired';
}

function sessions(all, act) {
  const items = all.map(({ id, user, seen_us, created_us, address, browser, own }) =>
    entry(
      `${user}${own ? ' (here)' : ''}`,
      `${browserName(browser)} from ${address}; signed in ${when(created_us)}, last seen about ${when(seen_us)}`,
      own ? null : button('Sign out', () => act(() => request('DELETE', `sessions/${id}`))),
    ),
  );
  return [list(items, 'Nobody is signed in.')];
}

/** `Firefox on Linux` from what a browser calls itself. */
function browserName(text) {
  const browser = ['Edg', 'Firefox', 'Chrome', 'Safari'].find((name) => text.includes(name));
  const system = ['Android', 'iPhone', 'iPad', 'Windows', 'Mac OS', 'Linux'].find((name) => text.includes(name));
  const named = { Edg: 'Edge' }[browser] ?? browser;
  return [named ?? text.slice(0, 40), system].filter(Boolean).join(' on ');
}

function log(entries) {
  const items = entries.map(({ at_us, actor, action, subject }) =>
    el('li', {}, el('time', {}, when(at_us)), el('span', {}, el('b', {}, actor), ` ${action} ${subject}`)),
  );
  const more = button('Older', async () => {
    const older = await request('GET', `audit?before=${entries.at(-1).id}`);
    more.replaceWith(...log(older));
  });
  return [
    items.length ? el('ul', { class: 'log' }, items) : el('p', { class: 'empty' }, 'Nothing older.'),
    items.length === 100 ? more : null,
  ].filter(Boolean);
}
