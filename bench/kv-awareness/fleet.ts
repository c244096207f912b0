import { parseArgs } from 'node:util';
import { chatPrompt } from '../../src/sim/http/generation.ts';
import { startSimEngine, type SimEngine } from '../../src/sim/server.ts';
import { Watched } from './watched.ts';

const { createServer } = process.getBuiltinModule('node:http');

/**
 * Simulated engines that publish KV events, all in this process, and a server that looks straight into them:
 * `POST /match_sort`, the oracle, and `GET /tally`, what the requests have met inside the engines.
 */
const { values } = parseArgs({
  options: {
    engines: { type: 'string', default: '8' },
    model: { type: 'string', default: 'm' },
    'speed-up': { type: 'string', default: '15' },
    'kv-tokens': { type: 'string', default: '524288' },
  },
});

const anyPort = 'tcp://127.0.0.1:0';
const engines: SimEngine[] = [];
for (let i = 0; i < Number(values.engines); i++) {
  const service = { kvTokens: Number(values['kv-tokens']) };
  const kvEvents = { events: anyPort, replay: anyPort };
  engines.push(
    await startSimEngine({ models: [values.model], speedUp: Number(values['speed-up']), service, kvEvents }),
  );
}
const watched = engines.map(({ engine }) => new Watched(engine));

/** A look at a request for a decision: every engine's cached share of its prompt. */
function matchSort(text: string): object {
  const { messages }: { messages: unknown } = JSON.parse(text);
  const prompt = chatPrompt(messages);
  const matches = engines.map(({ address }, i) => ({ address, matched_tokens: watched[i].prefixOf(prompt) }));
  return { tokens: prompt.length, matches };
}

function tally(): object {
  const states = engines.map((engine) => engine.state());
  return {
    lagSeconds: states.reduce((sum, { lagSeconds }) => sum + lagSeconds, 0),
    requestSeconds: states.reduce((sum, { requestSeconds }) => sum + requestSeconds, 0),
    firstTokens: watched.flatMap((one) => one.firstTokens()),
  };
}

const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => {
    const answer = request.url === '/tally' ? tally() : matchSort(Buffer.concat(parts).toString());
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });
});
server.listen(0, '127.0.0.1', () => {
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('the oracle has no port');
  for (const { address, kvEvents } of engines) {
    tell('engine', address);
    tell('events', kvEvents?.events ?? '');
    tell('replay', kvEvents?.replay ?? '');
  }
  tell('oracle', `127.0.0.1:${bound.port}`);
});

function tell(name: string, address: string): void {
  process.stdout.write(`${JSON.stringify({ msg: 'listening', server: name, address })}\n`);
}
