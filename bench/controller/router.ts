import { Agent, request } from 'node:http';
import { HermesProcess } from '../../test/e2e/testkit/process.ts';
import { cpuOf, rssOf } from '../proxy/processes.ts';

const agent = new Agent({ keepAlive: true });

/** The router under test, as an operator would start it, and what it tells of itself. */
export class Router {
  readonly process: HermesProcess;
  private metricsAddress = '';
  private proxyAddress = '';

  constructor(kubeconfig: string) {
    const own = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--metrics', '127.0.0.1:0'];
    const args = ['serve', '--kubeconfig', kubeconfig, ...own, '--allow-external-targets', '--drain-delay', '0s'];
    this.process = new HermesProcess([...args, '--replica-name', 'bench']);
  }

  /** Waits for `/readyz` to say yes. */
  async ready(): Promise<void> {
    this.metricsAddress = await this.process.address('metrics');
    this.proxyAddress = await this.process.address('proxy');
    while ((await this.get('/readyz')).status !== 200) {
      if (!this.process.running) throw new Error(`the router ended: ${this.process.stdout}${this.process.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** How many tables were made so far, and the seconds that took. */
  async tables(): Promise<{ count: number; seconds: number }> {
    const text = await this.metrics();
    return {
      count: valueOf(text, 'hermes_table_build_seconds_count'),
      seconds: valueOf(text, 'hermes_table_build_seconds_sum'),
    };
  }

  /** Milliseconds for which the event loop stood still at most since this was asked last. */
  async longestPause(): Promise<number> {
    return valueOf(await this.metrics(), 'nodejs_eventloop_lag_max_seconds') * 1000;
  }

  /** Whether a request for the model finds its way to an engine. */
  async serves(model: string): Promise<boolean> {
    const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }] });
    return (await send(`http://${this.proxyAddress}/v1/chat/completions`, body)).status === 200;
  }

  async stop(): Promise<void> {
    await this.process.kill();
  }

  get rss(): number {
    return rssOf(this.process.pid);
  }

  /** CPU time so far, in microseconds. */
  get cpu(): number {
    return cpuOf(this.process.pid);
  }

  private async metrics(): Promise<string> {
    return (await this.get('/metrics')).text;
  }

  private get(path: string): Promise<Answer> {
    return send(`http://${this.metricsAddress}${path}`);
  }
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** A GET, or a POST of JSON. */
function send(url: string, body?: string): Promise<Answer> {
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  return new Promise((resolve, reject) => {
    request(url, { agent, method: body === undefined ? 'GET' : 'POST', headers }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
    })
      .on('error', reject)
      .end(body);
  });
}

/** A series without labels in Prometheus' text format. */
function valueOf(metrics: string, name: string): number {
  const value = new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1];
  if (value === undefined) throw new Error(`there is no metric ${name}`);
  return Number(value);
}
