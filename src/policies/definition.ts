import type { Static, TObject } from 'typebox';
import type { AdapterReports } from '../router/adapters.ts';
import type { Clock } from '../router/clock.ts';
import type { PairGrouping } from '../router/pair-grouping.ts';
import type { Direction, Filter, HandoverHeader, PairPicker, PairScorer, Picker, Scorer } from '../router/plugin.ts';
import type { EndpointStates } from '../router/states.ts';

/** What a plugin may read at decision time. */
export interface PluginContext {
  readonly states: EndpointStates;
  readonly adapters: AdapterReports;
  /** Uniform in [0, 1); injected so that tests own chance. */
  readonly random: () => number;
  /** For loads that shrink with time. */
  readonly clock: Pick<Clock, 'now'>;
}

interface Definition<S extends TObject> {
  /** The name that configuration uses. */
  readonly type: string;
  /** One sentence for the reference docs. */
  readonly summary: string;
  /** Schema of `parameters`, with defaults; unknown fields are refused. */
  readonly parameters: S;
}

export interface FilterDefinition<S extends TObject = TObject> extends Definition<S> {
  readonly kind: 'filter';
  create(parameters: Static<S>, context: PluginContext): Filter;
}

export interface ScorerDefinition<S extends TObject = TObject> extends Definition<S> {
  readonly kind: 'scorer';
  readonly direction: Direction;
  /** Whether it reads `candidates.cachedTokens`. */
  readonly readsHits: boolean;
  create(parameters: Static<S>, context: PluginContext): Scorer;
}

export interface PickerDefinition<S extends TObject = TObject> extends Definition<S> {
  readonly kind: 'picker';
  /** The only direction of scorers that it works with; absent where either will do. */
  readonly takes?: Direction;
  create(parameters: Static<S>, context: PluginContext): Picker;
}

/** What turns a profile's endpoints into groups of prefillers, decoders and leaders. */
export interface PairFilterDefinition<S extends TObject = TObject> extends Definition<S> {
  readonly kind: 'pair-filter';
  create(parameters: Static<S>): PairGrouping;
}

/** Its costs are a pair's: the lowest wins. */
export interface PairScorerDefinition<S extends TObject = TObject> extends Definition<S> {
  readonly kind: 'pair-scorer';
  /** Whether it reads the cached tokens of prefillers. */
  readonly readsHits: boolean;
  create(parameters: Static<S>, context: PluginContext): PairScorer;
}

export interface PairPickerDefinition<S extends TObject = TObject> extends Definition<S> {
  readonly kind: 'pair-picker';
  create(parameters: Static<S>, context: PluginContext): PairPicker;
}

/** What tells the leader whom the pick was. */
export interface HandlerDefinition<S extends TObject = TObject> extends Definition<S> {
  readonly kind: 'handler';
  create(parameters: Static<S>): readonly HandoverHeader[];
}

/** A plugin as configuration names it. */
export interface PluginSpec {
  readonly type: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
}

export interface ScorerSpec extends PluginSpec {
  readonly weight?: number;
}

/** A scheduling profile spelled out. With a pair filter among its filters, scorers and picker are those of pairs. */
export interface ProfileSpec {
  readonly filters?: readonly PluginSpec[];
  readonly scorers?: readonly ScorerSpec[];
  /** `picker-min-random` where it is left out. */
  readonly picker?: PluginSpec;
  /** Of pairs only. */
  readonly handlers?: readonly PluginSpec[];
}

/** A strategy of RoutingPolicy: a named profile. */
export interface PresetDefinition<S extends TObject = TObject> extends Definition<S> {
  readonly kind: 'preset';
  /** The union member that holds its parameters: the type in lower camel case. */
  readonly member: string;
  expand(parameters: Static<S>): ProfileSpec;
  /** For backends whose engines share the work; absent where `expand` is for those, or serves single endpoints only. */
  expandPairs?(parameters: Static<S>): ProfileSpec;
}

/** Keep the parameter type between a definition's schema and its code; the registry forgets it again. */
export const defineFilter = <S extends TObject>(definition: FilterDefinition<S>): FilterDefinition<S> => definition;
export const defineScorer = <S extends TObject>(definition: ScorerDefinition<S>): ScorerDefinition<S> => definition;
export const definePicker = <S extends TObject>(definition: PickerDefinition<S>): PickerDefinition<S> => definition;
export const definePreset = <S extends TObject>(definition: PresetDefinition<S>): PresetDefinition<S> => definition;
export const definePairFilter = <S extends TObject>(definition: PairFilterDefinition<S>): PairFilterDefinition<S> =>
  definition;
export const definePairScorer = <S extends TObject>(definition: PairScorerDefinition<S>): PairScorerDefinition<S> =>
  definition;
export const definePairPicker = <S extends TObject>(definition: PairPickerDefinition<S>): PairPickerDefinition<S> =>
  definition;
export const defineHandler = <S extends TObject>(definition: HandlerDefinition<S>): HandlerDefinition<S> => definition;
