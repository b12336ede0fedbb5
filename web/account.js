// The button that says who is signed in, its menu, and the agents that ask to join.

import { request } from './access.js';
import { openAdministration } from './admin.js';
import { el } from './dom.js';
import { setText } from './format.js';
import { passwordDialog } from './signin.js';

const $ = (id) => document.getElementById(id);

export class Account {
  #access;
  #handlers;
  #waiting = [];
  #shown = '';

  /** `handlers.signIn()` opens the dialog, `handlers.left()` is called after signing out. */
  constructor(access, handlers) {
    this.#access = access;
    this.#handlers = handlers;
    const menu = $('account-menu');
    $('account').addEventListener('click', () => {
      if (menu.open) menu.close();
      else menu.show();
      $('account').setAttribute('aria-expanded', String(menu.open));
    });
    menu.addEventListener('close', () => $('account').setAttribute('aria-expanded', 'false'));
    document.addEventListener('click', ({ target }) => {
      if (menu.open && !menu.contains(target) && !$('account').contains(target)) menu.close();
    });
    document.addEventListener('keydown', ({ key }) => {
      if (key === 'Escape' && menu.open) menu.close();
    });
  }

  /** Agents that wait, as the relay tells administrators. */
  waiting(list) {
    this.#waiting = Array.isArray(list) ? list.filter((agent) => typeof agent?.code === 'string') : [];
    this.#asks();
    document.dispatchEvent(new Event('waitingchange'));
  }

  update() {
    const info = this.#access.info;
    const state = JSON.stringify(info);
    if (!info || state === this.#shown) return;
    this.#shown = state;
    if (!info.may_administer) this.waiting([]);
    const canSignIn = info.users || info.set_up === 'here';
    $('account').hidden = !info.name && !canSignIn && info.open !== 'everyone';
    setText($('account-name'), info.name ?? (info.open === 'everyone' ? 'Open to everyone' : 'Guest'));
    $('account').dataset.kind = info.name ? 'person' : info.open === 'everyone' ? 'open' : 'guest';
    this.#menu(info);
  }

  #menu(info) {
    const menu = $('account-menu');
    const item = (text, act) =>
      el('button', { type: 'button', class: 'item', onclick: () => { menu.close(); act(); } }, text);
    const role = { admin: 'Administrator', viewer: 'Viewer' }[info.role];
    const open = info.open === 'everyone' && 'Whoever reaches this relay may watch and bring cameras, where no token is set.';
    menu.replaceChildren(
      ...[
        el('p', { class: 'who' }, info.name ?? 'Nobody is signed in', info.name && role ? el('span', {}, role) : null),
        info.lacks ? el('p', { class: 'lacks' }, info.lacks) : null,
        Array.isArray(info.cameras)
          ? el('p', { class: 'lacks' }, `Cameras: ${info.cameras.join(', ') || 'none'}`)
          : null,
        open ? el('p', { class: 'lacks' }, open) : null,
        info.may_administer ? item('Administration', () => openAdministration()) : null,
        info.name ? item('Change password', () => this.#changePassword()) : null,
        info.name ? item('Sign out', () => this.#signOut()) : null,
        !info.name && info.users ? item('Sign in', () => this.#handlers.signIn()) : null,
        !info.name && info.set_up === 'here'
          ? item('Create an administrator', () => this.#handlers.signIn())
          : null,
      ].filter(Boolean),
    );
  }

  #changePassword() {
    passwordDialog((old, next) => request('POST', 'password', { old, new: next }));
  }

  async #signOut() {
    await this.#access.signOut().catch(() => {});
    this.#handlers.left();
  }

  /** One card for each agent that asks, wherever the administrator is on the page. */
  #asks() {
    const answer = (path, body, card) => async ({ target }) => {
      target.disabled = true;
      try {
        await request('POST', `agents/${path}`, body);
      } catch (err) {
        setText(card.querySelector('.error'), err.message);
        target.disabled = false;
      }
    };
    const cards = this.#waiting.slice(0, 4).map(({ name, code, address, replaces }) => {
      const card = el('li', { class: 'ask' });
      card.append(
        el('p', {}, el('b', {}, String(name)), ' wants to join, code ', el('b', { class: 'code' }, code)),
        el('p', { class: 'from' }, `From ${address}. Accept it if it shows the same code.`),
        ...(replaces
          ? [el('p', { class: 'warning' }, 'Another agent has this name and would lose it.')]
          : []),
        el('p', { class: 'error', role: 'alert' }),
        el(
          'div',
          { class: 'actions' },
          el('button', { type: 'button', class: 'primary', onclick: answer('accept', { name, code }, card) }, 'Accept'),
          el('button', { type: 'button', class: 'quiet', onclick: answer('refuse', { code }, card) }, 'Turn away'),
        ),
      );
      return card;
    });
    $('asks').replaceChildren(...cards);
    $('asks').hidden = cards.length === 0;
  }
}
