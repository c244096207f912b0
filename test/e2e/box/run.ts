// `node run.ts COMMAND...` runs a command in a box: network, process and mount namespaces of their own, with a cluster of one
// real node in them, whose KUBECONFIG it gets, kubectl and helm on its PATH. When the command ends, so does all of that; so it
// does when this process is killed. With KUBECONFIG set it runs the command against that cluster.
import { execFileSync, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { clientBinaries, controlPlaneBinary } from '../cluster/kit/binaries.ts';
import { gatewayCrds } from '../cluster/testkit/gateway-crds.ts';
import { makeCgroup, makeFolder, removeLeftovers } from './kit/outside.ts';
import { nodeParts, partsEnvironment, pauseImage, routerImage } from './kit/parts.ts';

/** Runs a program to its end, with this process's terminal; its exit code. It is killed when this process is told to end. */
function execute(program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  return new Promise((resolve, reject) => {
    // The fourth descriptor is never written to: it closes when this process is gone, however it went.
    const child = spawn(program, [...args], { env, stdio: ['inherit', 'inherit', 'inherit', 'pipe'] });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill('SIGKILL'));
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}

async function runInBox(command: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  if (process.getuid?.() !== 0) throw new Error('a node needs root; or set KUBECONFIG to a cluster');
  // All that needs the network: inside there is none.
  const [plane, parts, pause] = await Promise.all([controlPlaneBinary(), nodeParts(), pauseImage(), gatewayCrds()]);
  const envoy = join(import.meta.dirname, '../envoy/install.sh');
  execFileSync(envoy, [join(import.meta.dirname, '../../../.cache/envoy')], { stdio: ['ignore', 'ignore', 'inherit'] });
  await removeLeftovers();
  const dir = makeFolder();
  try {
    const { PATH, LD_LIBRARY_PATH } = partsEnvironment(parts);
    const box = {
      BOX_DIR: dir,
      BOX_ADDRESS: '10.99.0.1',
      BOX_CONTROL_PLANE: plane,
      BOX_PARTS: parts,
      BOX_IMAGES: `${pause},${routerImage(dir)}`,
      BOX_CGROUP: makeCgroup(),
    };
    const namespaces = ['--fork', '--pid', '--net', '--mount', '--mount-proc', '--kill-child'];
    const inside = ['bash', join(import.meta.dirname, 'inside.sh'), ...command];
    return await execute('unshare', [...namespaces, ...inside], {
      ...env,
      ...box,
      PATH: `${env.PATH}:${PATH}`,
      LD_LIBRARY_PATH,
    });
  } finally {
    await removeLeftovers();
  }
}

const command = process.argv.slice(2);
if (command.length === 0) throw new Error('usage: node run.ts COMMAND...');
const { kubectl } = await clientBinaries();
const env = { ...process.env, PATH: `${dirname(kubectl)}:${process.env.PATH}` };
process.exitCode =
  (process.env.KUBECONFIG ?? '') === ''
    ? await runInBox(command, env)
    : await execute(command[0], command.slice(1), env);
