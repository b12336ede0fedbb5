// The dialogs that let somebody in: sign in, create the first administrator, give a token.

import { el } from './dom.js';
import { setText } from './format.js';

const $ = (id) => document.getElementById(id);

const TEXTS = {
  signIn: { title: 'Sign in', button: 'Sign in', autocomplete: 'current-password' },
  setUp: {
    title: 'Create the first administrator',
    button: 'Create',
    autocomplete: 'new-password',
    message: 'This relay is new and open to nobody yet. Choose a name and a password; afterwards you can accept cameras and add other people.',
  },
};

export class SignIn {
  #access;
  #entered;
  #mode = 'signIn';
  #form = $('sign-in-form');

  /** `entered(token)` is called when somebody may come in; with a token, if one was given. */
  constructor(access, entered) {
    this.#access = access;
    this.#entered = entered;
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    $('sign-in').addEventListener('cancel', (event) => {
      // There is nothing behind it for somebody who may not watch.
      if (!access.info?.may_watch) event.preventDefault();
    });
    $('sign-in-close').addEventListener('click', () => $('sign-in').close());
    $('sign-in-token').addEventListener('click', () => {
      $('sign-in').close();
      this.askForToken('The administrator or the person who started the relay has it.');
    });
    $('token').addEventListener('close', () => {
      const token = $('token-input').value;
      $('token-input').value = '';
      if (token) this.#entered(token);
    });
  }

  /** Opens the dialog that fits what the relay says of itself. */
  ask(message = '') {
    const info = this.#access.info;
    if (this.#access.setUpLink && info && !info.set_up) message ||= 'The set-up link has been used already.';
    if (info?.set_up === 'here' || (info?.set_up && this.#access.setUpLink)) this.#show('setUp', message);
    else if (info?.users) this.#show('signIn', message);
    else if (info?.token) this.askForToken(message);
  }

  askForToken(message) {
    setText($('token-message'), message);
    if (!$('token').open) $('token').showModal();
  }

  #show(mode, message) {
    this.#mode = mode;
    const texts = TEXTS[mode];
    setText($('sign-in-title'), texts.title);
    setText($('sign-in-button'), texts.button);
    setText($('sign-in-message'), message || texts.message || '');
    setText($('sign-in-error'), '');
    $('sign-in-password').autocomplete = texts.autocomplete;
    $('sign-in-again-row').hidden = mode !== 'setUp';
    $('sign-in-again').required = mode === 'setUp';
    $('sign-in-token').hidden = mode === 'setUp';
    $('sign-in-close').hidden = !this.#access.info?.may_watch;
    if (!$('sign-in').open) $('sign-in').showModal();
    $('sign-in-name').focus();
  }

  async #submit() {
    const [name, password] = [$('sign-in-name').value, $('sign-in-password').value];
    const error = $('sign-in-error');
    if (this.#mode === 'setUp' && password !== $('sign-in-again').value) {
      setText(error, 'The two passwords differ.');
      return;
    }
    const button = $('sign-in-button');
    button.disabled = true;
    try {
      await (this.#mode === 'setUp' ? this.#access.setUp(name, password) : this.#access.signIn(name, password));
    } catch (err) {
      setText(error, err.status ? err.message : 'The relay cannot be reached.');
      if (err.status === 410) {
        // Somebody else has used the link; what is left is to sign in.
        this.#access.setUpLink = null;
        await this.#access.refresh();
        this.#show('signIn', '');
        setText(error, err.message);
      }
      $('sign-in-password').select();
      return;
    } finally {
      button.disabled = false;
    }
    this.#form.reset();
    $('sign-in').close();
    this.#entered();
  }
}

/** Asks for a new password of one's own; `change(old, next)` sends it. */
export function passwordDialog(change) {
  const old = el('input', { type: 'password', autocomplete: 'current-password', required: true, id: 'old-password' });
  const next = el('input', { type: 'password', autocomplete: 'new-password', required: true, minlength: 8, id: 'new-password' });
  const error = el('p', { class: 'error', role: 'alert' });
  const close = () => dialog.close();
  const form = el(
    'form',
    {
      async onsubmit(event) {
        event.preventDefault();
        try {
          await change(old.value, next.value);
          close();
        } catch (err) {
          setText(error, err.message);
        }
      },
    },
    el('h2', {}, 'Change password'),
    el('p', {}, 'You stay signed in here and are signed out everywhere else.'),
    el('label', { for: 'old-password' }, 'Old password'),
    old,
    el('label', { for: 'new-password' }, 'New password, at least 8 characters'),
    next,
    error,
    el('button', { type: 'submit' }, 'Change'),
    el('button', { type: 'button', class: 'quiet', onclick: close }, 'Cancel'),
  );
  const dialog = el('dialog', { onclose: () => dialog.remove() }, form);
  document.body.append(dialog);
  dialog.showModal();
}
