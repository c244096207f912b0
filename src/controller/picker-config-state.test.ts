import { describe, expect, it } from 'vitest';
import type { PickerConfig } from '../api/endpoint-picker-config.ts';
import { PickerConfigState, type ReadPickerConfig } from './picker-config-state.ts';

const config = (name: string) => ({ name }) as PickerConfig;
const fault = { file: 'f', line: 3, path: 'plugins', message: 'is bad', cure: 'mend it' };
const note = { ...fault, message: 'is odd' };
const read: ReadPickerConfig = (text) =>
  text === 'bad'
    ? { config: null, faults: [fault], notes: [note] }
    : { config: config(text), faults: [], notes: [note] };

describe('an EndpointPickerConfig over time', () => {
  it('is what its file says', () => {
    const state = new PickerConfigState('f', read);
    expect(state.empty).toBe(true);
    expect(state.update({ text: 'a' })).toEqual({ config: config('a'), faults: [], notes: [note], lastGood: false });
    expect(state.update({ text: 'b' })).toMatchObject({ config: config('b'), lastGood: false });
    expect(state.empty).toBe(false);
  });

  it('is nothing while the file has never been right', () => {
    const state = new PickerConfigState('f', read);
    expect(state.update({ text: 'bad' })).toEqual({ config: null, faults: [fault], notes: [], lastGood: false });
    expect(state.empty).toBe(true);
  });

  it('stays what it was while the file is bad or gone, and says why', () => {
    const state = new PickerConfigState('f', read);
    const { config: first } = state.update({ text: 'a' });
    expect(state.update({ text: 'bad' })).toMatchObject({ config: first, faults: [fault], lastGood: true });
    const gone = state.update({ problem: { message: 'does not exist', cure: 'put it back' } });
    expect(gone.config).toBe(first);
    expect(gone.faults).toEqual([{ file: 'f', line: 1, path: '', message: 'does not exist', cure: 'put it back' }]);
  });
});
