import { afterAll, describe, expect, it } from 'vitest';
import { countByKind, startCluster } from './kit/index.ts';

const cluster = startCluster();
afterAll(() => cluster.close());

describe('the cluster of the suites', () => {
  it('keeps what was applied while its API server is killed and started again', async (context) => {
    cluster.needsOwn(context);
    const namespace = await cluster.namespace();
    await cluster.apply('{apiVersion: v1, kind: ConfigMap, metadata: {name: kept}, data: {a: b}}', '-n', namespace);
    await cluster.killApiServer();
    const away = await cluster.kubectl(['get', 'configmap', 'kept', '-n', namespace]);
    expect(away.code).toBe(1);
    expect(away.stderr).toContain('refused');
    await cluster.startApiServer();
    const path = `/api/v1/namespaces/${namespace}/configmaps/kept`;
    expect((await cluster.api('GET', path)).body.data).toEqual({ a: 'b' });
  });

  it('stops answering while it is frozen, and goes on afterwards', async (context) => {
    cluster.needsOwn(context);
    await cluster.freezeApiServer();
    const frozen = await cluster.kubectl(['get', '--raw', '/readyz', '--request-timeout=1s']);
    expect(frozen.code).not.toBe(0);
    await cluster.thawApiServer();
    expect(await cluster.mustKubectl(['get', '--raw', '/readyz'])).toBe('ok');
  });

  it('lets a service account do what its role says and nothing else, and counts what it asked', async (context) => {
    cluster.needsOwn(context);
    const namespace = await cluster.namespace();
    await cluster.mustKubectl(['create', 'serviceaccount', 'reader', '-n', namespace]);
    await cluster.mustKubectl(['create', 'role', 'reader', '--verb=get,list', '--resource=pods', '-n', namespace]);
    const binding = ['reader', '--role=reader', `--serviceaccount=${namespace}:reader`, '-n', namespace];
    await cluster.mustKubectl(['create', 'rolebinding', ...binding]);
    const kubeconfig = await cluster.serviceAccountKubeconfig(namespace, 'reader');
    const mark = cluster.markRequests();
    expect((await cluster.kubectl(['get', 'pods'], { kubeconfig })).code).toBe(0);
    expect((await cluster.kubectl(['get', 'secrets'], { kubeconfig })).stderr).toContain('forbidden');
    const requests = cluster.requests(mark, { user: `system:serviceaccount:${namespace}:reader`, namespace });
    expect(countByKind(requests)).toEqual({ 'list pods': 1, 'list secrets': 1 });
    expect(requests.map(({ code }) => code)).toEqual([200, 403]);
    expect(requests[0].userAgent).toContain('kubectl/v1.36');
  });
});
