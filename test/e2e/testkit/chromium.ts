// A real browser, spoken to by its DevTools protocol over Node's own WebSocket.
import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/** What browsers of this family are called; the Debian package is `chromium`. */
const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** The browser of this machine: $CHROMIUM, else one on the PATH, else null. */
export function chromiumPath(): string | null {
  const given = process.env.CHROMIUM;
  if (given !== undefined && given !== '') return given;
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).find(isProgram) ?? null;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

type Answer = Record<string, unknown>;
interface Message {
  readonly id?: number;
  readonly sessionId?: string;
  readonly method?: string;
  readonly params?: Answer;
  readonly result?: Answer;
  readonly error?: { readonly message: string };
}

/** One tab of one browser. */
export class Browser {
  /** What the page has asked for over the network. */
  readonly requests: string[] = [];
  /** What it has thrown or written to the console as an error. */
  readonly errors: string[] = [];
  private readonly child: ChildProcess;
  private readonly folder: string;
  private readonly socket: WebSocket;
  private readonly waiting = new Map<number, { resolve: (answer: Answer) => void; reject: (error: Error) => void }>();
  private session: string | undefined;
  private last = 0;

  private constructor(child: ChildProcess, folder: string, socket: WebSocket) {
    this.child = child;
    this.folder = folder;
    this.socket = socket;
    socket.addEventListener('message', ({ data }) => this.take(JSON.parse(String(data)) as Message));
  }

  /** Starts a browser without a window. It must be closed. */
  static async start(path: string): Promise<Browser> {
    const folder = mkdtempSync(join(tmpdir(), 'chromium-'));
    const child = spawn(
      path,
      [
        '--headless=new',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-dev-shm-usage',
        '--remote-debugging-port=0',
        `--user-data-dir=${folder}`,
        'about:blank',
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const socket = new WebSocket(await debuggerAddress(child));
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener('open', () => resolve());
      socket.addEventListener('error', () => reject(new Error('the browser takes no connection')));
    });
    const browser = new Browser(child, folder, socket);
    const { targetId } = await browser.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await browser.send('Target.attachToTarget', { targetId, flatten: true });
    browser.session = String(sessionId);
    for (const domain of ['Page', 'Runtime', 'Network', 'Log']) await browser.send(`${domain}.enable`);
    return browser;
  }

  /** Calls a method of the protocol. Rejects with what the browser says. */
  send(method: string, params: Answer = {}): Promise<Answer> {
    const id = ++this.last;
    this.socket.send(
      JSON.stringify({ id, method, params, ...(this.session === undefined ? {} : { sessionId: this.session }) }),
    );
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  /** The value of an expression in the page, awaited. Rejects with what it throws. */
  async evaluate(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { readonly value?: unknown }).value;
  }

  /** Opens a page and waits until it has loaded. */
  async open(url: string): Promise<void> {
    const { errorText } = await this.send('Page.navigate', { url });
    if (errorText !== undefined) throw new Error(`${url}: ${JSON.stringify(errorText)}`);
    await this.evaluate(
      `new Promise((done) => document.readyState === 'complete' ? done() : addEventListener('load', () => done()))`,
    );
  }

  async close(): Promise<void> {
    const gone = new Promise<void>((resolve) => this.child.once('exit', () => resolve()));
    this.child.kill();
    await gone;
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  private take({ id, method, params = {}, result, error }: Message): void {
    if (id !== undefined) {
      const call = this.waiting.get(id);
      this.waiting.delete(id);
      if (error === undefined) call?.resolve(result ?? {});
      else call?.reject(new Error(error.message));
    } else if (method === 'Network.requestWillBeSent') this.requests.push((params.request as { url: string }).url);
    else if (method === 'Runtime.exceptionThrown') this.errors.push(JSON.stringify(params.exceptionDetails));
    else if (method === 'Log.entryAdded') this.note(params.entry as { level: string; text: string; url?: string });
  }

  private note({ level, text, url }: { level: string; text: string; url?: string }): void {
    if (level === 'error') this.errors.push(`${text} ${url ?? ''}`);
  }
}

/** Where the browser listens, as it tells on standard error. */
function debuggerAddress(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      const found = /^DevTools listening on (ws:\S+)/m.exec(text);
      if (found !== null) resolve(found[1]);
    });
    child.once('exit', (code) => reject(new Error(`the browser ended with ${code}: ${text}`)));
    child.once('error', reject);
  });
}
