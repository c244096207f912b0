import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { chatRequests } from './payloads.ts';
import { loadCore } from './processes.ts';

const run = promisify(execFile);

/** Writes the requests and a script that sends them in turn; returns the script. */
export function writeScript(folder: string): string {
  const file = join(folder, 'requests.bin');
  writeFileSync(file, Buffer.concat(chatRequests));
  const lengths = chatRequests.map((request) => request.length).join(',');
  const script = join(folder, 'requests.lua');
  writeFileSync(
    script,
    `
local file = io.open('${file}', 'rb')
local requests, turn = {}, 0
for _, length in ipairs({${lengths}}) do requests[#requests + 1] = file:read(length) end
file:close()
request = function()
  turn = turn % #requests + 1
  return requests[turn]
end
`,
  );
  return script;
}

/** Keeps so many connections busy for so many seconds; returns the number of answers. */
export async function saturate(port: number, script: string, connections: number, seconds: number): Promise<number> {
  const args = ['-t', '1', '-c', String(connections), '-d', `${seconds}s`, '-s', script, `http://127.0.0.1:${port}/`];
  const { stdout } = await run('taskset', ['-c', String(loadCore), 'wrk', ...args]);
  const failed = /Non-2xx or 3xx responses: \d+|Socket errors: .*/.exec(stdout);
  if (failed !== null) throw new Error(`wrk: ${failed[0]}`);
  const answers = /(\d+) requests in/.exec(stdout)?.[1];
  if (answers === undefined) throw new Error(`wrk said nothing of requests:\n${stdout}`);
  return Number(answers);
}
