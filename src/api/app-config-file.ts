import { decodeAppConfig, type AppConfig } from './app-config.ts';
import { parseDocuments, type FileFault, type ParsedDocument } from './documents.ts';

/** What a configuration file says; `config` is null where something is wrong with it. */
export interface AppConfigFile {
  readonly config: AppConfig | null;
  readonly faults: readonly FileFault[];
  readonly notes: readonly FileFault[];
}

/** Reads a values file or a file of a ConfigMap: one document that holds `app`. */
export function readAppConfig(text: string, file: string, namespace?: string): AppConfigFile {
  const { documents, faults } = parseDocuments(text, file);
  if (faults.length > 0) return refused(faults);
  if (documents.length === 0) {
    const empty = { file, line: 1, path: '', message: 'is empty', cure: 'write the settings under `app:`' };
    return refused([empty]);
  }
  if (documents.length > 1) {
    const line = documents[1].lineOf('');
    const cure = 'keep one document with `app`, and remove what follows `---`';
    return refused([{ file, line, path: '', message: `holds ${documents.length} documents`, cure }]);
  }
  return readDocument(documents[0], file, namespace);
}

/** Decodes one document and says where in the file its faults and notes are. */
export function readDocument(document: ParsedDocument, file: string, namespace?: string): AppConfigFile {
  const placed = <T extends { readonly path: string; readonly message: string; readonly cure: string }>(found: T) => ({
    file,
    line: document.lineOf(found.path),
    path: found.path,
    message: found.message,
    cure: found.cure,
  });
  const decoded = decodeAppConfig(document.value, namespace);
  if (!decoded.ok) return refused(decoded.faults.map(placed));
  const { ok: _ok, ...config } = decoded;
  return { config, faults: [], notes: config.notes.map(placed) };
}

const refused = (faults: readonly FileFault[]): AppConfigFile => ({ config: null, faults, notes: [] });
