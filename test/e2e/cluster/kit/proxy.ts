import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

/** What the API server answered; the body is parsed JSON, or text where it is none. */
export interface ApiAnswer {
  status: number;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- objects of any kind; the tests look into them
  body: any;
  /** Warnings, as kubectl prints them. */
  warnings: string[];
}

/** `kubectl proxy`, started when it is first needed: works with whatever a kubeconfig may hold. */
export class Proxy {
  private readonly kubectl: string;
  private readonly args: readonly string[];
  private readonly env: NodeJS.ProcessEnv;
  private child: ChildProcess | null = null;
  private address: Promise<string> | null = null;

  constructor(kubectl: string, kubeconfig: string, env: NodeJS.ProcessEnv) {
    this.kubectl = kubectl;
    this.args = ['proxy', '--port=0', `--kubeconfig=${kubeconfig}`];
    this.env = env;
  }

  async request(method: string, path: string, body: unknown, contentType: string): Promise<ApiAnswer> {
    this.address ??= this.start();
    const content = typeof body === 'string' ? body : JSON.stringify(body);
    const answer = await fetch(`http://${await this.address}${path}`, {
      method,
      ...(body === undefined ? {} : { body: content, headers: { 'content-type': contentType } }),
    });
    const warnings = answer.headers.get('warning');
    return {
      status: answer.status,
      body: parsed(await answer.text()),
      warnings: warnings === null ? [] : [warnings],
    };
  }

  async close(): Promise<void> {
    const { child } = this;
    if (child === null) return;
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGTERM');
    await ended;
  }

  private start(): Promise<string> {
    const child = spawn(this.kubectl, [...this.args], { env: this.env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.child = child;
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    return new Promise((resolve, reject) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        const address = /Starting to serve on (\S+)/.exec(line)?.[1];
        if (address !== undefined) resolve(address);
      });
      child.once('error', reject);
      child.once('close', () => reject(new Error(`kubectl proxy ended: ${said}`)));
    });
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}
