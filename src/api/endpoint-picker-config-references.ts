import { expectRole, resolve, type Declared } from './endpoint-picker-config-declared.ts';
import type { SaturationBounds } from '../router/saturation.ts';
import { boundsOf } from './endpoint-picker-config-detector.ts';
import type { Findings } from './endpoint-picker-config-findings.ts';
import type { PickerDocument } from './endpoint-picker-config-schema.ts';

type Plugins = ReadonlyMap<string, Declared>;

/** Checks what the sections besides the profiles refer to: parsers and data sources. */
export function checkReferences(document: PickerDocument, plugins: Plugins, found: Findings): void {
  const { parser, requestHandler } = document;
  const parsers = [
    ...(parser === undefined ? [] : [[parser.pluginRef, 'parser'] as const]),
    ...(requestHandler?.parser === undefined
      ? []
      : [[requestHandler.parser.pluginRef, 'requestHandler.parser'] as const]),
    ...(requestHandler?.parsers ?? []).map(({ pluginRef }, i) => [pluginRef, `requestHandler.parsers[${i}]`] as const),
  ];
  for (const [ref, at] of parsers) {
    const path = `${at}.pluginRef`;
    expectRole(resolve(ref, path, plugins, found), 'parser', path, found);
  }
  for (const section of ['dataLayer', 'data'] as const) {
    (document[section]?.sources ?? []).forEach(({ pluginRef, extractors = [] }, i) => {
      const at = `${section}.sources[${i}]`;
      const refs = [pluginRef, ...extractors.map((extractor) => extractor.pluginRef)];
      refs.forEach((ref, r) => {
        const path = r === 0 ? `${at}.pluginRef` : `${at}.extractors[${r - 1}].pluginRef`;
        expectRole(resolve(ref, path, plugins, found), 'builtin', path, found);
      });
    });
  }
}

/** When an endpoint is saturated: by the detector that the file refers to, by its own section, or by default. */
export function saturationOf(document: PickerDocument, plugins: Plugins, found: Findings): SaturationBounds {
  const detector = detectorOf(document, plugins, found);
  const { pluginRef: _pluginRef, ...fields } = document.saturationDetector ?? {};
  const [field] = Object.keys(fields);
  if (field !== undefined && detector !== undefined) {
    const message = `stands beside ${detector.path}, which says the same`;
    found.fault(`saturationDetector.${field}`, message, 'say it in one place only');
  }
  noteStaleness('saturationDetector', fields, found);
  if (detector !== undefined) noteStaleness(`${detector.path}.parameters`, detector.parameters, found);
  return boundsOf({ ...fields, ...detector?.parameters });
}

/** The detector that is referred to, or the one of the usual name. */
function detectorOf(document: PickerDocument, plugins: Plugins, found: Findings): Declared | undefined {
  const inFlow = document.flowControl?.saturationDetector?.pluginRef;
  const own = document.saturationDetector?.pluginRef;
  if (own !== undefined && inFlow !== undefined)
    found.fault('saturationDetector', 'stands beside flowControl.saturationDetector', 'remove one of the two');
  const ref = inFlow ?? own ?? 'utilization-detector';
  const path = `${inFlow === undefined ? '' : 'flowControl.'}saturationDetector.pluginRef`;
  const detector = resolve(ref, path, plugins, found);
  expectRole(detector, 'detector', path, found);
  return detector;
}

function noteStaleness(path: string, fields: Readonly<Record<string, unknown>>, found: Findings): void {
  if (fields.metricsStalenessThreshold === undefined) return;
  found.note(`${path}.metricsStalenessThreshold`, 'has no effect: scraped numbers count until they are 10 s old');
}
