import type { PickerConfig } from '../api/endpoint-picker-config.ts';
import type { PickerConfigFile } from '../api/endpoint-picker-config-file.ts';
import type { FileFault } from '../api/documents.ts';
import type { FileLook } from './config-file-state.ts';
import type { FollowedFile } from './config-file-watch.ts';

/** Reads the text of an EndpointPickerConfig. */
export type ReadPickerConfig = (text: string, path: string) => PickerConfigFile;

/** What an EndpointPickerConfig says now, or said when it last was right. */
export interface PickerConfigLook extends PickerConfigFile {
  /** Whether an older version is in force than the file holds. */
  readonly lastGood: boolean;
}

/** One EndpointPickerConfig over time: while its file is gone, empty or wrong, what it said last stays in force. */
export class PickerConfigState implements FollowedFile<PickerConfigLook> {
  readonly path: string;
  private readonly read: ReadPickerConfig;
  private inForce: PickerConfig | null = null;

  constructor(path: string, read: ReadPickerConfig) {
    this.path = path;
    this.read = read;
  }

  get empty(): boolean {
    return this.inForce === null;
  }

  update(look: FileLook): PickerConfigLook {
    if ('problem' in look) return this.kept([{ file: this.path, line: 1, path: '', ...look.problem }]);
    const { config, faults, notes } = this.read(look.text, this.path);
    if (config === null) return this.kept(faults);
    this.inForce = config;
    return { config, faults, notes, lastGood: false };
  }

  private kept(faults: readonly FileFault[]): PickerConfigLook {
    return { config: this.inForce, faults, notes: [], lastGood: !this.empty };
  }
}
