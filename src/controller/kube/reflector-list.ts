import type { KubeClient, KubeObject } from './contract.ts';
import { asList, statusOf } from './kube-object.ts';

const pageSize = 500;

/** The list could not be read. */
export class ListFailed extends Error {
  override readonly name = 'ListFailed';
  /** Null where the answer was no list. */
  readonly status: number | null;
  readonly retryAfter: number;

  constructor(message: string, status: number | null, retryAfter = 0) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/**
 * Reads a list page by page, giving each object to `take`, and returns its version. Rejects with ListFailed, or with
 * what the client rejects with.
 */
export async function readList(
  client: KubeClient,
  pathWith: (query: Readonly<Record<string, string>>) => string,
  take: (object: KubeObject) => void,
): Promise<string> {
  for (let next = ''; ;) {
    const query = { limit: String(pageSize), ...(next !== '' && { continue: next }) };
    const { status, body, retryAfter } = await client.send({ method: 'GET', path: pathWith(query) });
    if (status !== 200) throw new ListFailed(`${status} ${statusOf(body).message}`, status, retryAfter);
    const list = asList(body);
    if (list === null) throw new ListFailed('the answer is no list', null);
    for (const object of list.items) take(object);
    if (list.next === '') return list.resourceVersion;
    next = list.next;
  }
}
