import { Exit, InputError, UsageError, type CommandIo } from './commands/io.ts';
import { OutsideError } from './commands/listen.ts';

type Command = (argv: readonly string[], io: CommandIo) => Promise<number>;

/** Sub-commands; each is loaded only when it is asked for, since their libraries differ. */
const commands: Readonly<Record<string, { readonly summary: string; readonly load: () => Promise<Command> }>> = {
  serve: {
    summary: 'route OpenAI requests to inference engines',
    load: async () => (await import('./commands/serve.ts')).runServe,
  },
  epp: {
    summary: 'pick endpoints for Envoy gateways',
    load: async () => (await import('./commands/epp/epp.ts')).runEpp,
  },
  'pd-proxy': {
    summary: 'lead a group of prefillers and decoders',
    load: async () => (await import('./commands/pd-proxy/pd-proxy.ts')).runPdProxy,
  },
  validate: {
    summary: 'check manifests, offline',
    load: async () => (await import('./api/validate-command.ts')).runValidate,
  },
  explain: {
    summary: 'why requests went where they went',
    load: async () => (await import('./commands/explain.ts')).runExplain,
  },
  'cache-indexer': {
    summary: 'who has which prompt in its KV cache',
    load: async () => (await import('./commands/cache-indexer/cache-indexer.ts')).runCacheIndexer,
  },
  'sim-engine': {
    summary: 'a simulated vLLM',
    load: async () => (await import('./sim/sim-engine.ts')).runSimEngine,
  },
};

const io: CommandIo = {
  out: (line) => void process.stdout.write(`${line}\n`),
  err: (line) => void process.stderr.write(`${line}\n`),
};

// Whoever reads what is written here may go away, and a disk may fill up: a router goes on without a log.
let isHeard = true;
process.stdout.on('error', (error) => {
  if (isHeard) io.err(`hermes-router: nothing can be written to standard output any more: ${error.message}`);
  isHeard = false;
});
// There is nowhere left to tell of it.
process.stderr.on('error', () => undefined);

function usage(): string {
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(13)} ${summary}`);
  return [
    'usage: hermes-router COMMAND [flags]',
    '',
    ...lines,
    '',
    'hermes-router COMMAND --help tells the flags of a command.',
  ].join('\n');
}

async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined || name === '--help' || name === '-h') {
    io.out(usage());
    return name === undefined ? Exit.usage : Exit.fine;
  }
  if (!Object.hasOwn(commands, name)) throw new UsageError(`there is no command ${name}`);
  const command = await commands[name].load();
  return command(rest, io);
}

/** Last words on standard error, and the exit code that goes with the error. */
function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) {
    io.err(`hermes-router: ${error.message}`);
    io.err(`${asCalled} --help tells how it is used`);
    return Exit.usage;
  }
  if (error instanceof InputError) {
    io.err(error.message);
    return Exit.badInput;
  }
  if (error instanceof OutsideError) {
    io.err(`hermes-router: ${error.message}`);
    return Exit.outside;
  }
  throw error;
}

const argv = process.argv.slice(2);
/** The program and its command, where there is such a command. */
const asCalled = Object.hasOwn(commands, argv[0] ?? '') ? `hermes-router ${argv[0]}` : 'hermes-router';

// What a failed start has opened must not keep the process alive.
process.exit(await main(argv).catch(exitCodeOf));
