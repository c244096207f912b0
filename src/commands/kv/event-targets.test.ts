import { describe, expect, it } from 'vitest';
import type { EndpointSeed } from '../../router/endpoint.ts';
import { eventTargetOf, usualEvents } from './event-targets.ts';

const seed = (fields: Partial<EndpointSeed>): EndpointSeed => ({
  name: 'p',
  address: '10.0.0.1:8000',
  labels: {},
  ports: { 'zmq-pub': 5557, 'zmq-replay': 5558 },
  ...fields,
});

const targetOf = (fields: Partial<EndpointSeed>, plain = true) =>
  eventTargetOf({ group: 'n/g', seed: seed(fields), settings: usualEvents, plain });

describe('eventTargetOf', () => {
  it('takes ports by their names, on the host of the engine', () => {
    expect(targetOf({})).toEqual({
      key: 'n/g/p 10.0.0.1:8000',
      host: '10.0.0.1',
      eventsPort: 5557,
      replayPort: 5558,
      ranks: 1,
      topic: 'kv-events',
      api: '10.0.0.1:8000',
    });
  });

  it('does without a replay port', () => {
    expect(targetOf({ ports: { 'zmq-pub': 1 } })).toMatchObject({ eventsPort: 1, replayPort: null });
  });

  it('says which port is missing, whatever objects have by nature', () => {
    const settings = { ...usualEvents, portName: 'constructor' };
    const reason = 'none of its ports is called constructor';
    expect(eventTargetOf({ group: 'n/g', seed: seed({}), settings, plain: true })).toEqual({ reason });
  });

  it('takes the brackets off an IPv6 address', () => {
    expect(targetOf({ address: '[fd00::1]:8000' })).toMatchObject({ host: 'fd00::1', api: '[fd00::1]:8000' });
  });

  it('asks no engine behind TLS where its events are', () => {
    expect(targetOf({}, false)).toMatchObject({ api: null });
  });

  it.each([
    ['4', 4],
    ['0', 1],
    ['999', 256],
    ['1e3', 1],
    ['', 1],
  ])('reads %j ranks off the label as %i', (label, ranks) => {
    expect(targetOf({ labels: { 'openfuyao.com/dpSize': label } })).toMatchObject({ ranks });
  });
});
