import type { Labels } from './fields.ts';
import { LabelledSet } from './labelled.ts';
import type { PodView } from './pod-view.ts';
import type { PoolView } from './pool-view.ts';
import type { ServiceView } from './service-view.ts';
import type { SliceView } from './slice-view.ts';

/** What is watched of one namespace; references never leave it. */
export interface NamespaceView {
  pod(name: string): PodView | undefined;
  podsWith(selector: Labels): readonly PodView[];
  /** Whether a Pod has this address. */
  hasPodAt(address: string): boolean;
  service(name: string): ServiceView | undefined;
  servicesWith(selector: Labels): readonly ServiceView[];
  /** The EndpointSlices of a Service. */
  slicesOf(service: string): readonly SliceView[];
  pool(name: string): PoolView | undefined;
}

const noSlices: ReadonlyMap<string, SliceView> = new Map();

/** The objects of one namespace, as the watches tell them. */
export class Namespace implements NamespaceView {
  readonly pods = new LabelledSet<PodView>();
  readonly services = new LabelledSet<ServiceView>();
  readonly pools = new Map<string, PoolView>();
  private readonly slices = new Map<string, SliceView>();
  private readonly byService = new Map<string, Map<string, SliceView>>();

  pod(name: string): PodView | undefined {
    return this.pods.get(name);
  }

  podsWith(selector: Labels): readonly PodView[] {
    return this.pods.matching(selector);
  }

  hasPodAt(address: string): boolean {
    for (const { addresses } of this.pods.all()) if (addresses.includes(address)) return true;
    return false;
  }

  service(name: string): ServiceView | undefined {
    return this.services.get(name);
  }

  servicesWith(selector: Labels): readonly ServiceView[] {
    return this.services.matching(selector);
  }

  slicesOf(service: string): readonly SliceView[] {
    return [...(this.byService.get(service) ?? noSlices).values()];
  }

  pool(name: string): PoolView | undefined {
    return this.pools.get(name);
  }

  slice(name: string): SliceView | undefined {
    return this.slices.get(name);
  }

  setSlice(slice: SliceView): void {
    this.deleteSlice(slice.name);
    this.slices.set(slice.name, slice);
    const ofService = this.byService.get(slice.service) ?? new Map<string, SliceView>();
    this.byService.set(slice.service, ofService.set(slice.name, slice));
  }

  deleteSlice(name: string): void {
    const slice = this.slices.get(name);
    if (slice === undefined) return;
    this.slices.delete(name);
    const ofService = this.byService.get(slice.service);
    ofService?.delete(name);
    if (ofService?.size === 0) this.byService.delete(slice.service);
  }
}
