import { KvEventPublisher } from '../../sim/kv-publisher.ts';
import { wallClock } from '../../sim/wall-clock.ts';
import { askOverHttp } from './ask-sources.ts';
import { Recorder } from './recorder.fixture.ts';
import { KVEventSubscriptions } from './subscriptions.ts';

/** A program that subscribes to an engine that is there and to one that is not, closes all, and must end by itself. */
const fail = (error: unknown): void => {
  throw error;
};
const engine = await KvEventPublisher.bind({ events: 'tcp://127.0.0.1:0', replay: 'tcp://127.0.0.1:0' }, fail);
const { events, replay } = engine.addresses;
const port = (address: string | null): number => Number(address?.slice(address.lastIndexOf(':') + 1));
let holders = 0;
const live = Promise.withResolvers<void>();
const subscriptions = new KVEventSubscriptions({
  sink: new Recorder(),
  clock: { now: () => wallClock.now(), after: (milliseconds, callback) => timer(milliseconds, callback) },
  ask: askOverHttp(wallClock),
  onHolders: () => undefined,
  registry: { open: () => holders++, close: () => (holders -= 1) },
});
const here = { host: '127.0.0.1', eventsPort: port(events), replayPort: port(replay), ranks: 1, topic: '', api: null };
subscriptions.reconcile([
  { ...here, key: 'there' },
  { ...here, key: 'not there', eventsPort: 1, replayPort: 2, ranks: 3, api: '127.0.0.1:1' },
]);
const poll = setInterval(() => {
  if (subscriptions.states()[0].phase === 'live') live.resolve();
}, 2);
await live.promise;
clearInterval(poll);
await subscriptions.close();
engine.close();
process.stdout.write(`holders left: ${holders}\n`);

/** Unlike the wall clock's, these timers keep the process alive when they are left behind: for hours, to be seen. */
function timer(milliseconds: number, callback: () => void): () => void {
  const set = setTimeout(callback, milliseconds * 1000);
  return () => {
    clearTimeout(set);
  };
}
