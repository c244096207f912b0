import type { Clock } from '../../router/clock.ts';
import type { Endpoint } from '../../router/endpoint.ts';
import type { RoutingTable } from '../../router/table.ts';

/**
 * Milliseconds after which a prefiller has freed unread blocks by itself, so that a notice is of no use any more:
 * Mooncake's lease, the longest that is known (NIXL's is 30 s). An engine passes over a notice that comes too late.
 */
const lease = 480_000;
/** Notices that are remembered for one prefiller; beyond it the oldest are left to the lease. */
const rememberedAtMost = 4096;
/** Of those, as many go with one call: some ten kilobytes. */
const toldAtOnce = 256;

/** Id of a request, and when telling of it loses its use, in milliseconds of the clock. */
type Notice = readonly [id: string, expiry: number];

const noIds: readonly string[] = Object.freeze([]);
const noNotices: readonly Notice[] = Object.freeze([]);

/**
 * Which prefillers hold KV blocks that nobody will read, by the id of the request that they were computed for. Each is
 * told once, with the next request that it gets.
 */
export class AbortBook {
  private readonly pages = new Map<string, Page>();
  private readonly clock: Clock;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** A prefiller is about to be called. */
  open({ address }: Endpoint, requestId: string): BlockHold {
    let page = this.pages.get(address);
    if (page === undefined) this.pages.set(address, (page = new Page(this.clock)));
    return new BlockHold(page, requestId);
  }

  /** Ids that wait to be told to a prefiller. */
  owed({ address }: Endpoint): readonly string[] {
    return this.pages.get(address)?.ids() ?? noIds;
  }

  /** Forgets prefillers that are gone, once no request uses them any more. */
  retain(table: RoutingTable): void {
    if (this.pages.size === 0) return;
    const live = new Set<string>();
    for (const { endpoints } of table.groups.values()) for (const { address } of endpoints) live.add(address);
    for (const [address, page] of this.pages) if (!live.has(address) && page.unused) this.pages.delete(address);
  }
}

/** One prompt's KV blocks at a prefiller, from the call that computes them until they are read or given up. */
export class BlockHold {
  /** Notices that go with this call: id and expiry. */
  private readonly taken: readonly Notice[];
  private readonly page: Page;
  private readonly requestId: string;
  private told = false;
  private held = true;

  constructor(page: Page, requestId: string) {
    this.page = page;
    this.requestId = requestId;
    page.use(requestId);
    this.taken = page.take();
  }

  /** Ids that this call tells the prefiller of. */
  get notices(): readonly string[] {
    return this.taken.length === 0 ? noIds : this.taken.map(([id]) => id);
  }

  /** The prefiller has taken the call; returns how many requests it was told of. */
  delivered(): number {
    this.told = true;
    return this.taken.length;
  }

  /** Nobody uses the blocks from here on; `unread` where the prefiller may still keep them. Counts once. */
  close(unread: boolean): void {
    if (!this.held) return;
    this.held = false;
    if (!this.told) this.page.giveBack(this.taken);
    this.page.unuse(this.requestId);
    if (unread) this.page.owe(this.requestId);
  }
}

/** What one prefiller is owed. */
class Page {
  private readonly clock: Clock;
  /** Ids and expiries, the oldest first. */
  private owed = new Map<string, number>();
  /** Requests under way by their id, which clients may use again: their blocks must not be given up. */
  private readonly users = new Map<string, number>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  get unused(): boolean {
    return this.users.size === 0;
  }

  use(id: string): void {
    this.users.set(id, (this.users.get(id) ?? 0) + 1);
  }

  unuse(id: string): void {
    const others = (this.users.get(id) ?? 0) - 1;
    if (others > 0) this.users.set(id, others);
    else this.users.delete(id);
  }

  owe(id: string): void {
    this.owed.delete(id);
    this.owed.set(id, this.clock.now() + lease);
    this.bound();
  }

  ids(): readonly string[] {
    this.expire();
    return [...this.owed.keys()];
  }

  /** Takes out what can be told now. */
  take(): readonly Notice[] {
    if (this.owed.size === 0) return noNotices;
    this.expire();
    const taken: Notice[] = [];
    for (const notice of this.owed) {
      if (taken.length === toldAtOnce) break;
      if (!this.users.has(notice[0])) taken.push(notice);
    }
    for (const [id] of taken) this.owed.delete(id);
    return taken;
  }

  /** Takes notices back that were not told. */
  giveBack(notices: readonly Notice[]): void {
    if (notices.length === 0) return;
    // One that is owed again by now keeps its later expiry.
    const newer = [...this.owed];
    this.owed = new Map([...notices.filter(([id]) => !this.owed.has(id)), ...newer].sort((a, b) => a[1] - b[1]));
    this.bound();
  }

  private bound(): void {
    let surplus = this.owed.size - rememberedAtMost;
    for (const id of this.owed.keys()) {
      if (surplus <= 0) return;
      this.owed.delete(id);
      surplus -= 1;
    }
  }

  private expire(): void {
    const now = this.clock.now();
    for (const [id, expiry] of this.owed) {
      if (expiry > now) return;
      this.owed.delete(id);
    }
  }
}
