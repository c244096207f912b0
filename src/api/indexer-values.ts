import { Value } from 'typebox/value';
import type { AppConfigFile } from './app-config-file.ts';
import { faultsOf, type Fault } from './check.ts';
import { decodeResource, type Resource } from './decode.ts';
import { withDefaults } from './defaults.ts';
import { parseDocuments, type FileFault, type ParsedDocument } from './documents.ts';
import { apiVersion } from './resource.ts';
import { isObject } from './schema-node.ts';
import { curesOf } from './indexer-values-cures.ts';
import { valuesSchema, type Values } from './indexer-values-schema.ts';

/** What a configuration file of cache-indexer says. */
export interface ValuesFile extends AppConfigFile {
  /** `service.port`; null where it is left out. */
  readonly port: number | null;
}

type Place = Pick<FileFault, 'path' | 'message' | 'cure'>;

const selectorPath = 'app.serviceDiscovery.labelSelector';
const nothing = 'nothing to do';

/** Reads a values file: one document with `app`, and `service` beside it. It becomes one BackendGroup, named `app`. */
export function readValues(text: string, file: string, namespace = 'default'): ValuesFile {
  const { documents, faults } = parseDocuments(text, file);
  if (faults.length > 0) return refused(faults);
  if (documents.length !== 1) {
    const many = { message: `holds ${documents.length} documents`, cure: 'keep the one with `app`' };
    const none = { message: 'is empty', cure: 'write the settings under `app:`' };
    return refused([{ file, line: 1, path: '', ...(documents.length === 0 ? none : many) }]);
  }
  return readValuesDocument(documents[0], file, namespace);
}

/** Whether a document sets up cache-indexer rather than a router of v25.09, which has `app`, too. */
export function isIndexerValues(document: unknown): boolean {
  return isObject(document) && isObject(document.app) && Object.hasOwn(document.app, 'serviceDiscovery');
}

/** Decodes one document and says where in the file its faults and notes are. */
export function readValuesDocument(document: ParsedDocument, file: string, namespace = 'default'): ValuesFile {
  const placed = ({ path, message, cure }: Place): FileFault => ({
    file,
    line: document.lineOf(path),
    path,
    message,
    cure,
  });
  const decoded = decodeValues(document, namespace);
  if ('faults' in decoded) return refused(decoded.faults.map(placed));
  const { values, group } = decoded;
  const notes = notesOf(values, document.value);
  return {
    config: { namespace, resources: { groups: [group], policies: [] }, notes },
    faults: [],
    notes: notes.map(placed),
    port: values.service?.port ?? null,
  };
}

type Decoded =
  | { readonly values: Values; readonly group: Extract<Resource, { kind: 'BackendGroup' }> }
  | { readonly faults: readonly Place[] };

function decodeValues({ value: document }: ParsedDocument, namespace: string): Decoded {
  const misfit = misfitOf(document);
  if (misfit !== null) return { faults: [misfit] };
  const given = isObject(document)
    ? Object.entries(document).filter(([key]) => key === 'app' || key === 'service')
    : [];
  const value = withDefaults(valuesSchema, Object.fromEntries(given));
  const faults = faultsOf(valuesSchema, value);
  if (faults.length > 0) return { faults: faults.map((fault) => curesOf(fault, value)) };
  if (!Value.Check(valuesSchema, value)) throw new Error('two checks of values disagree; please report it');
  return groupOf(value, namespace);
}

function groupOf(values: Values, namespace: string): Decoded {
  const { labelSelector, portName, inferencePort } = values.app.serviceDiscovery;
  const pairs = labelSelector.split(',').map((pair): [string, string] => {
    const [label, value] = pair.split(/==?/).map((part) => part.trim());
    return [label, value];
  });
  const matchLabels: Readonly<Record<string, string>> = Object.fromEntries(pairs);
  if (Object.keys(matchLabels).length < pairs.length)
    return { faults: [{ path: selectorPath, message: 'names a label twice', cure: 'name each label once' }] };
  const decoded = decodeResource({
    apiVersion,
    kind: 'BackendGroup',
    metadata: { name: 'app', namespace },
    spec: {
      engine: 'vLLM',
      discovery: { type: 'Pods', pods: { selector: { matchLabels }, targetPorts: [{ number: inferencePort }] } },
      kvCache: { type: 'Events', events: { portName } },
    },
  });
  if (!decoded.ok) return { faults: decoded.faults.map(ofSelector) };
  if (decoded.resource.kind !== 'BackendGroup') throw new Error('values became another kind; please report it');
  return { values, group: decoded.resource };
}

/** Only labels can still be wrong: a name that is too long. */
function ofSelector({ path, message, cure }: Fault): Place {
  if (!path.startsWith('spec.discovery.pods.selector'))
    throw new Error(`values were accepted, but the resource made of them is not: ${path} ${message}; please report it`);
  return { path: selectorPath, message, cure };
}

/** Why a document cannot be a configuration at all; null where it may be one. */
function misfitOf(document: unknown): Place | null {
  if (!isObject(document)) return { path: '', message: 'is no map', cure: 'write the settings under `app:`' };
  if (Object.hasOwn(document, 'kind') || Object.hasOwn(document, 'apiVersion')) {
    const cure = 'write the values themselves, or mount the ConfigMap and name the file; manifests go to --manifests';
    return { path: 'kind', message: 'belongs to a manifest, which is no configuration', cure };
  }
  return null;
}

function notesOf({ app, service }: Values, document: unknown): Place[] {
  const notes: Place[] = [];
  const others = isObject(document) ? Object.keys(document).filter((key) => key !== 'app' && key !== 'service') : [];
  if (others.length > 0)
    notes.push({
      path: others[0],
      message: `${others.join(', ')}: belongs to the chart and is passed over`,
      cure: nothing,
    });
  if (app.serviceDiscovery.refreshInterval !== undefined) {
    const message = 'has no effect: Pods are watched, so that a change is seen at once and not after an interval';
    notes.push({ path: 'app.serviceDiscovery.refreshInterval', message, cure: nothing });
  }
  if (service?.name !== undefined) {
    const message = 'names the Service that the chart makes; it is nothing to this process';
    notes.push({ path: 'service.name', message, cure: nothing });
  }
  return notes;
}

const refused = (faults: readonly FileFault[]): ValuesFile => ({ config: null, faults, notes: [], port: null });
