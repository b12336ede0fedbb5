// The camera chooser: one button a camera, with its state in colour and in words.

import { setText } from './format.js';

const STATES = { live: 'live', fault: 'camera fault', offline: 'offline' };

export class CameraChooser {
  #list;
  #choose;
  #buttons = new Map();

  /** `choose(name)` is called with a camera's name, or with null for all of them. */
  constructor(list, choose) {
    this.#list = list;
    this.#choose = choose;
    list.addEventListener('keydown', (event) => this.#arrow(event));
  }

  /** `cameras` as the relay lists them; `selected` a name, null for all, undefined for none. */
  update(cameras, selected) {
    const entries = new Map(cameras.map(({ name, state }) => [name, state]));
    if (typeof selected === 'string' && !entries.has(selected)) entries.set(selected, 'offline');
    const order = entries.size > 1 ? [null, ...entries.keys()] : [...entries.keys()];
    for (const [name, item] of this.#buttons) {
      if (order.includes(name)) continue;
      item.remove();
      this.#buttons.delete(name);
    }
    order.forEach((name, place) => {
      const item = this.#buttons.get(name) ?? this.#add(name);
      // Moved only when it must be: moving takes the focus away.
      if (this.#list.children[place] !== item) this.#list.insertBefore(item, this.#list.children[place] ?? null);
      const button = item.firstChild;
      if (name === selected) button.setAttribute('aria-current', 'true');
      else button.removeAttribute('aria-current');
      if (name === null) return;
      const state = entries.get(name);
      button.dataset.state = state;
      setText(button.lastChild, `, ${STATES[state] ?? 'in an unknown state'}`);
    });
  }

  /** The button that stands for the selection comes into view. */
  reveal() {
    this.#list
      .querySelector('[aria-current]')
      ?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  #add(name) {
    const item = document.createElement('li');
    const button = document.createElement('button');
    button.type = 'button';
    if (name === null) {
      button.textContent = 'All';
      button.title = 'Every camera side by side (0)';
    } else {
      const parts = ['dot', 'camera-name', 'sr-only'].map((className) => {
        const span = document.createElement('span');
        span.className = className;
        return span;
      });
      parts[1].textContent = name;
      button.title = name;
      button.append(...parts);
    }
    button.addEventListener('click', () => this.#choose(name));
    item.append(button);
    this.#buttons.set(name, item);
    return item;
  }

  #arrow(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const buttons = [...this.#list.querySelectorAll('button')];
    const next = buttons[buttons.indexOf(document.activeElement) + step];
    next?.focus();
    event.preventDefault();
  }
}
