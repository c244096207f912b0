// What runs in the client's pod: it asks what it is told to ask, once or without a break, and tells how it went. It has no
// imports but Node's, since the image has nothing else for it.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

interface Plan {
  readonly url: string;
  readonly model: string;
  /** How many requests are under way at any time; every second one streams. */
  readonly clients: number;
  readonly maxTokens: number;
}

interface Question {
  readonly method: string;
  readonly url: string;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
}

/** How a request that went wrong went wrong: `lost` were accepted, the connection of `refused` ended before any answer. */
type Fault = 'lost' | 'refused' | 'answered' | 'wrong';

const counts: Record<Fault | 'done', number> = { done: 0, lost: 0, refused: 0, answered: 0, wrong: 0 };
const faults: string[] = [];
const texts = new Map<string, string>();
let running: Promise<unknown> = Promise.resolve();
let stopped = true;
let longestPause = 0;
let lastDone = 0;

function failed(fault: Fault, detail: string): void {
  counts[fault] += 1;
  if (faults.length < 20) faults.push(`${new Date().toISOString()} ${fault}: ${detail.slice(0, 300)}`);
}

const said = (error: unknown): string =>
  error instanceof Error ? `${error.message} ${error.cause === undefined ? '' : said(error.cause)}` : String(error);

/** One request to its end. Equal prompts have equal answers, whichever engine gives them. */
async function once({ url, model, maxTokens }: Plan, turn: number): Promise<void> {
  const stream = turn % 2 === 0;
  const prompt = `Tell me about number ${turn % 40}.`;
  const body = JSON.stringify({ model, stream, max_tokens: maxTokens, messages: [{ role: 'user', content: prompt }] });
  let response: Response;
  try {
    const headers = { 'content-type': 'application/json' };
    response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body });
  } catch (error) {
    return failed('refused', said(error));
  }
  try {
    const text = await response.text();
    if (response.status !== 200) return failed('answered', `${response.status} ${text}`);
    check(prompt, stream ? streamed(text) : (JSON.parse(text) as Completion).choices[0].message.content);
  } catch (error) {
    failed('lost', said(error));
  }
}

interface Completion {
  readonly choices: readonly { readonly message: { readonly content: string } }[];
}

function streamed(text: string): string {
  const events = text.split('\n\n').filter((event) => event !== '');
  if (events.at(-1) !== 'data: [DONE]') throw new Error(`a stream ended with ${events.at(-1)}`);
  return events
    .slice(0, -1)
    .map((event) => JSON.parse(event.slice('data: '.length)) as { choices: { delta: { content?: string } }[] })
    .map(({ choices }) => choices[0]?.delta.content ?? '')
    .join('');
}

function check(prompt: string, text: string): void {
  const digest = createHash('sha256').update(text).digest('hex');
  const first = texts.get(prompt) ?? digest;
  texts.set(prompt, first);
  if (first !== digest) return failed('wrong', `another answer to ${prompt}`);
  counts.done += 1;
  const now = Date.now();
  longestPause = Math.max(longestPause, now - lastDone);
  lastDone = now;
}

function start(plan: Plan): void {
  for (const name of Object.keys(counts) as (keyof typeof counts)[]) counts[name] = 0;
  [faults.length, longestPause, lastDone, stopped] = [0, 0, Date.now(), false];
  const run = async (first: number): Promise<void> => {
    for (let turn = first; !stopped; turn += 1) {
      const before = counts.done;
      await once(plan, turn);
      // Who gets nothing does not ask a thousand times a second.
      if (counts.done === before) await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  running = Promise.all(Array.from({ length: plan.clients }, (_, i) => run(i * 7)));
}

const report = () => ({ ...counts, faults, longestPauseMs: longestPause });

async function ask({ method, url, headers = {}, body }: Question) {
  const content = body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) };
  const response = await fetch(url, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    ...content,
  });
  return { status: response.status, headers: Object.fromEntries(response.headers), text: await response.text() };
}

const actions: Record<string, (body: string) => unknown> = {
  '/ask': (body) => ask(JSON.parse(body) as Question).catch((error: unknown) => ({ error: said(error) })),
  '/start': (body) => start(JSON.parse(body) as Plan),
  '/report': report,
  '/stop': async () => {
    stopped = true;
    await running;
    return report();
  },
  '/healthz': () => 'ok',
};

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = '';
  for await (const piece of request.setEncoding('utf8')) body += piece as string;
  const action = actions[request.url ?? ''];
  response.statusCode = action === undefined ? 404 : 200;
  response.end(JSON.stringify((await action?.(body)) ?? null));
}

const server = createServer((request, response) => {
  serve(request, response).catch((error: unknown) => response.writeHead(500).end(said(error)));
});
server.listen(8080);
process.once('SIGTERM', () => process.exit(0));
