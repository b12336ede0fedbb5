// What the relay says about who we are, and requests in our name.

/** An answer that is not the wanted one; `message` is the relay's own sentence. */
export class RequestError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** A token that was given instead of signing in. */
let token;

export function useToken(given) {
  token = given || undefined;
}

/**
 * Sends a request below `api/` and returns the JSON of the answer, or null if there is none.
 *
 * Throws `RequestError`, or `TypeError` when the relay cannot be reached.
 */
export async function request(method, path, body) {
  const options = { method, cache: 'no-store', headers: { 'content-type': 'application/json' } };
  if (token) options.headers.authorization = `Bearer ${token}`;
  if (body !== undefined) options.body = JSON.stringify(body);
  const response = await fetch(new URL(`api/${path}`, document.baseURI), options);
  if (response.status === 204) return null;
  if (!response.ok) {
    const text = (await response.text()).trim().slice(0, 500);
    throw new RequestError(response.status, text || `The relay answers ${response.status}.`);
  }
  return response.json();
}

/** Who is signed in, kept as the relay last said it; null while that is not known. */
export class Access {
  info = null;
  /** The secret of a set-up link, from the page's address. */
  setUpLink = null;
  #changed;

  constructor(changed) {
    this.#changed = changed;
  }

  /** Asks again. Without an answer the last one stays. */
  async refresh() {
    try {
      this.info = await request('GET', 'session');
    } catch {
      // The connection's own state tells what is wrong.
    }
    this.#changed();
    return this.info;
  }

  async signIn(name, password) {
    await request('POST', 'session', { name, password });
    await this.refresh();
  }

  async setUp(name, password) {
    await request('POST', 'set-up', { link: this.setUpLink, name, password });
    this.setUpLink = null;
    await this.refresh();
  }

  async signOut() {
    await request('DELETE', 'session');
    await this.refresh();
  }
}
