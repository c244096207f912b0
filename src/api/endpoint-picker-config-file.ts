import { parseDocuments, type FileFault, type ParsedDocument } from './documents.ts';
import { decodePickerConfig, isPickerConfig, type PickerConfig } from './endpoint-picker-config.ts';
import { isObject } from './schema-node.ts';

/** What a configuration file of an endpoint picker says; `config` is null where something is wrong with it. */
export interface PickerConfigFile {
  readonly config: PickerConfig | null;
  readonly faults: readonly FileFault[];
  readonly notes: readonly FileFault[];
}

type Place = Pick<FileFault, 'path' | 'message' | 'cure'>;

/** Where the charts of the Inference Extension and of hermes-router keep a configuration, as text. */
const holders = ['inferencepool.inferenceExtension', 'inferenceExtension'] as const;

/** Reads a file: one document of kind EndpointPickerConfig, or a values file of Helm that holds one as text. */
export function readPickerConfig(text: string, file: string): PickerConfigFile {
  const { documents, faults } = parseDocuments(text, file);
  if (faults.length > 0) return refused(faults);
  if (documents.length === 0) {
    const cure = 'write a document of kind EndpointPickerConfig, or start without a file';
    return refused([{ file, line: 1, path: '', message: 'is empty', cure }]);
  }
  if (documents.length > 1) {
    const cure = 'keep one document, and remove what follows `---`';
    const line = documents[1].lineOf('');
    return refused([{ file, line, path: '', message: `holds ${documents.length} documents`, cure }]);
  }
  return readPickerDocument(documents[0], file);
}

/** Whether a document configures an endpoint picker, by itself or as values of a chart. */
export const holdsPickerConfig = (document: unknown): boolean =>
  isPickerConfig(document) || valuesOf(document) !== null;

/** Decodes one document and says where in the file its faults and notes are. */
export function readPickerDocument(document: ParsedDocument, file: string): PickerConfigFile {
  const values = valuesOf(document.value);
  if (values !== null) return readValues(values, document, file);
  const placed = ({ path, message, cure }: Place): FileFault => ({
    file,
    line: document.lineOf(path),
    path,
    message,
    cure,
  });
  const inOrder = (places: readonly Place[]): FileFault[] => places.map(placed).sort((a, b) => a.line - b.line);
  const misfit = misfitOf(document.value);
  if (misfit !== null) return refused([placed(misfit)]);
  const decoded = decodePickerConfig(document.value);
  return decoded.ok
    ? { config: decoded.config, faults: [], notes: inOrder(decoded.notes) }
    : refused(inOrder(decoded.faults));
}

/** What people name in the place of a configuration. */
function misfitOf(document: unknown): Place | null {
  if (!isObject(document) || typeof document.kind !== 'string' || isPickerConfig(document)) return null;
  if (document.kind !== 'ConfigMap') return null;
  const cure = 'mount it and name the file, or write what it holds under `data`';
  return { path: 'kind', message: 'is ConfigMap, which is no configuration itself', cure };
}

/** Values of a chart that hold a configuration, and where. */
interface Values {
  /** `inferencepool.inferenceExtension` */
  readonly path: string;
  readonly section: Readonly<Record<string, unknown>>;
}

function valuesOf(document: unknown): Values | null {
  for (const path of holders) {
    let section = document;
    for (const key of path.split('.')) section = isObject(section) ? section[key] : undefined;
    if (!isObject(section)) continue;
    if (Object.hasOwn(section, 'pluginsConfigFile') || Object.hasOwn(section, 'pluginsCustomConfig'))
      return { path, section };
  }
  return null;
}

/** Reads the text that `pluginsConfigFile` names; its faults are told by their lines in the whole file. */
function readValues({ path, section }: Values, document: ParsedDocument, file: string): PickerConfigFile {
  const fault = (field: string, message: string, cure: string): PickerConfigFile =>
    refused([{ file, line: document.lineOf(`${path}.${field}`), path: `${path}.${field}`, message, cure }]);
  const { pluginsConfigFile: name, pluginsCustomConfig: texts } = section;
  if (typeof name !== 'string' || name === '')
    return fault('pluginsConfigFile', 'names no file', 'write a name that stands in `pluginsCustomConfig`');
  if (!isObject(texts))
    return fault('pluginsCustomConfig', 'is no map', `write \`${name}: |\` below it, and the text below that`);
  if (!Object.hasOwn(texts, name)) {
    const known = Object.keys(texts).join(', ') || 'nothing';
    return fault(
      'pluginsConfigFile',
      `is ${name}, which \`pluginsCustomConfig\` does not hold`,
      `add it, or name what is there: ${known}`,
    );
  }
  const text = texts[name];
  const at = `${path}.pluginsCustomConfig[${name}]`;
  if (typeof text !== 'string')
    return fault(`pluginsCustomConfig[${name}]`, 'is no text', `write \`${name}: |\`, and indent the text below it`);
  // A block of text begins below its name.
  const above = document.lineOf(at);
  const shifted = ({ line, ...rest }: FileFault): FileFault => ({ ...rest, line: above + line });
  const { config, faults, notes } = readPickerConfig(text, file);
  const others = Object.keys(texts).filter((other) => other !== name);
  const unread = others.map((other) => ({
    file,
    line: document.lineOf(`${path}.pluginsCustomConfig[${other}]`),
    path: `${path}.pluginsCustomConfig[${other}]`,
    message: `is not read: pluginsConfigFile names ${name}`,
    cure: 'nothing to do',
  }));
  return { config, faults: faults.map(shifted), notes: [...unread, ...notes.map(shifted)] };
}

const refused = (faults: readonly FileFault[]): PickerConfigFile => ({ config: null, faults, notes: [] });
