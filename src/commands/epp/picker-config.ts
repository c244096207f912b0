import type { PickerConfig } from '../../api/endpoint-picker-config.ts';
import { readPickerConfig } from '../../api/endpoint-picker-config-file.ts';
import { ConfigFileWatch } from '../../controller/config-file-watch.ts';
import { PickerConfigState, type PickerConfigLook } from '../../controller/picker-config-state.ts';
import type { Log } from '../../observability/log.ts';
import type { GaugeSource } from '../../observability/metrics.ts';
import type { Clock } from '../../router/clock.ts';
import { beginFollowing, faultLine } from '../follow-file.ts';
import { InputError, UsageError } from '../io.ts';
import { logFault } from '../resource-log.ts';
import { reloadGauges, type Reloads } from '../source.ts';
import type { PickerFlags } from './flags.ts';

/** The EndpointPickerConfig that is in force. */
export interface ConfigInForce {
  /** Null before `start`. */
  readonly current: PickerConfig | null;
  /** Reads it, and calls back whenever another is in force. Throws InputError and OutsideError. */
  start(changed: () => void): void;
  gauges(): GaugeSource[];
  close(): void;
}

interface Surroundings {
  readonly clock: Clock;
  readonly log: Log;
}

/** The configuration that the flags name, or null. */
export function configOf(flags: PickerFlags, around: Surroundings): ConfigInForce | null {
  const { 'config-file': file, 'config-text': text } = flags;
  if (file !== '' && text !== '') throw new UsageError('give --config-file or --config-text, not both');
  if (file !== '') return new FollowedConfig(file, around);
  return text === '' ? null : textConfig(text, around);
}

class FollowedConfig implements ConfigInForce {
  current: PickerConfig | null = null;
  private readonly path: string;
  private readonly log: Log;
  private readonly watch: ConfigFileWatch<PickerConfigLook>;
  private readonly reloads: Reloads = { good: 0, faulty: 0 };
  private changed: () => void = () => undefined;

  constructor(path: string, { clock, log }: Surroundings) {
    this.path = path;
    this.log = log;
    this.watch = new ConfigFileWatch(new PickerConfigState(path, readPickerConfig), clock, (look) => this.take(look));
  }

  start(changed: () => void): void {
    this.changed = changed;
    beginFollowing(this.watch, '--config-file', this.path);
  }

  gauges(): GaugeSource[] {
    return reloadGauges(this.reloads);
  }

  close(): void {
    this.watch.close();
  }

  private take(look: PickerConfigLook): void {
    tell(look, this.log);
    if (look.lastGood) this.log.warn('the last good configuration stays in force', { file: this.path });
    this.reloads[look.faults.length === 0 ? 'good' : 'faulty'] += 1;
    if (look.config === this.current) return;
    this.current = look.config;
    this.changed();
  }
}

function textConfig(text: string, { log }: Surroundings): ConfigInForce {
  const look = readPickerConfig(text, '--config-text');
  if (look.config === null) throw new InputError(look.faults.map(faultLine).join('\n'));
  return {
    current: look.config,
    start(changed) {
      tell({ ...look, lastGood: false }, log);
      changed();
    },
    gauges: () => [],
    close: () => undefined,
  };
}

function tell({ config, faults, notes, lastGood }: PickerConfigLook, log: Log): void {
  for (const fault of faults) logFault(log, 'configuration', fault);
  for (const { file, line, path, message } of notes) log.info(message, { file, line, path });
  if (!lastGood && config !== null) log.info('configuration in force', { profile: config.name });
}
