import { parentPort, workerData } from 'node:worker_threads';
import { isRecord } from './asked.ts';
import { TokenizerFiles } from './tokenizer-files.ts';

/** The thread of a LocalRenderer: takes `{id, body}`, gives `{id, ids}`, ids null for what it refuses. */
const port = parentPort;
if (port === null) throw new Error('this module runs in a worker thread only');
const folder: unknown = isRecord(workerData) ? workerData.folder : null;
if (typeof folder !== 'string') throw new Error('workerData.folder must be the folder of the tokenizer');
const files = new TokenizerFiles(folder);
port.postMessage({ ready: true });

port.on('message', (message: unknown) => {
  if (!isRecord(message) || typeof message.body !== 'string') throw new Error('a message must have a body');
  const ids = tokens(message.body);
  port.postMessage({ id: message.id, ids }, ids === null ? [] : [ids.buffer]);
});

function tokens(json: string): Uint32Array<ArrayBuffer> | null {
  try {
    const body: unknown = JSON.parse(json);
    return isRecord(body) ? new Uint32Array(files.tokens(body)) : null;
  } catch {
    // Whatever the template objects to, its words may quote the prompt: the asker counts it and goes without.
    return null;
  }
}
