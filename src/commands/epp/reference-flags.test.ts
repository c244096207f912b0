import { describe, expect, it } from 'vitest';
import { readFlags } from '../flags.ts';
import { UsageError } from '../io.ts';
import { defaults } from './flags.ts';
import { ownArguments } from './reference-flags.ts';

describe('a command line of the reference picker', () => {
  const cases: [string, string[], string[]][] = [
    ['names ports in place of addresses', ['--grpc-port', '9002', '--grpc-health-port=9003', '--metrics-port=9090'], ['--listen', ':9002', '--health', ':9003', '--metrics', ':9090']],
    ['may have one dash', ['-grpc-port', '1', '-secure-serving=false'], ['--listen', ':1', '--secure-serving=false']],
    ['switches things on without a value', ['--secure-serving', '--pool-name', 'p'], ['--secure-serving=true', '--pool-name', 'p']],
    ['switches things off with one', ['--secure-serving', 'false', '--pool-name', 'p'], ['--secure-serving=false', '--pool-name', 'p']],
    ['keeps our own flags as they are', ['--pool-name=p', '--config-file', 'f', '--cert-path', 'd'], ['--pool-name=p', '--config-file', 'f', '--cert-path', 'd']],
    ['says how much to log', ['-v=4', '--v', '2', '--zap-encoder', 'json', '--zap-log-level=debug', '--pool-name', 'p'], ['--pool-name', 'p']],
    ['switches what is always on or nowhere', ['--tracing=false', '--enable-pprof', '--health-checking', '--enable-cert-reload=true', '--pool-name', 'p'], ['--pool-name', 'p']],
    ['names the only group of pools', ['--pool-group', 'inference.networking.k8s.io'], []],
    ['asks for what is so anyway', ['--ha-enable-leader-election=false', '--metrics-endpoint-auth=false', '--model-server-metrics-path=/metrics', '--model-server-metrics-port', '0', '--kv-cache-usage-percentage-metric', 'vllm:kv_cache_usage_perc'], []],
  ]; // prettier-ignore
  it.each(cases)('%s', (_name, argv, own) => {
    expect(ownArguments(argv).argv).toEqual(own);
  });

  it('is told what was passed over', () => {
    expect(ownArguments(['-v=4', '--tracing=false', '--pool-name', 'p']).passedOver).toEqual(['--v', '--tracing']);
  });

  it.each<[string[], string]>([
    [['--pool-group', 'inference.networking.x-k8s.io'], 'inference.networking.k8s.io/v1'],
    [['--ha-enable-leader-election'], 'leave the flag out'],
    [['--endpoint-selector', 'app=vllm'], 'InferencePool'],
    [['--endpoint-target-ports', '8000'], 'target ports'],
    [['--disable-endpoint-subset-filter=true'], 'always kept to'],
    [['--refresh-metrics-interval', '50ms'], 'spec.metrics.interval'],
    [['--total-queued-requests-metric', 'sglang:num_queue_reqs'], 'spec.engine'],
    [['--metrics-endpoint-auth'], 'NetworkPolicy'],
    [['--model-server-metrics-https-insecure-skip-verify=true'], 'caSecretRef'],
    [['--grpc-port', 'x'], 'write a port'],
    [['--grpc-port'], 'write a port'],
    [['--pool-group'], 'needs a value'],
  ])('is refused for %j with what to do', (argv, words) => {
    expect(() => ownArguments(argv)).toThrow(UsageError);
    expect(() => ownArguments(argv)).toThrow(words);
  });

  it('leaves to the reader of flags what nobody knows', () => {
    expect(ownArguments(['--nonsense', 'x']).argv).toEqual(['--nonsense', 'x']);
    expect(() => readFlags(['--nonsense'], defaults, {})).toThrow(UsageError);
  });
});
