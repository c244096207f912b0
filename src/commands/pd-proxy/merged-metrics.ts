/** The exposition of one engine, and what its samples are to be labelled with. */
export interface LabelledText {
  readonly labels: Readonly<Record<string, string>>;
  readonly text: string;
}

interface Family {
  help: string;
  type: string;
  readonly samples: string[];
}

const name = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;
/** A number, and perhaps a time stamp. */
const sampleValue = /^(?:NaN|[-+]?(?:Inf|[0-9.]+(?:[eE][-+]?[0-9]+)?))(?: -?[0-9]+)?$/;
const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*)/;
/** What samples of histograms, summaries and counters add to the name of their family. */
const suffix = /_(bucket|sum|count|total|created)$/;

/**
 * One exposition of many: each family once, in the order met, and every sample with the labels of where it comes from. A label
 * of that name which the sample has itself becomes `exported_…`, as with Prometheus. Lines that are neither comment nor
 * sample are left out.
 */
export function mergeMetrics(texts: readonly LabelledText[]): string {
  const families = new Map<string, Family>();
  for (const { labels, text } of texts) addText(families, labels, text);
  let merged = '';
  for (const { help, type, samples } of families.values()) {
    if (help !== '') merged += `${help}\n`;
    if (type !== '') merged += `${type}\n`;
    if (samples.length > 0) merged += `${samples.join('\n')}\n`;
  }
  return merged;
}

function addText(families: Map<string, Family>, labels: LabelledText['labels'], text: string): void {
  const added = Object.entries(labels)
    .map(([key, value]) => `${key}="${escaped(value)}"`)
    .join(',');
  const own = new RegExp(`(^|,)\\s*(${Object.keys(labels).join('|')})\\s*=`, 'g');
  for (const line of text.split('\n')) {
    const said = comment.exec(line);
    if (said !== null) describe(families, said[2], said[1], line);
    else addSample(families, line, { added, own });
  }
}

function describe(families: Map<string, Family>, family: string, what: string, line: string): void {
  const known = familyOf(families, family);
  if (what === 'HELP') known.help ||= line.trimEnd();
  else known.type ||= line.trimEnd();
}

function addSample(families: Map<string, Family>, line: string, { added, own }: { added: string; own: RegExp }): void {
  const metric = name.exec(line)?.[0];
  if (metric === undefined) return;
  const open = line[metric.length] === '{';
  const close = open ? endOfLabels(line, metric.length + 1) : metric.length;
  if (close < 0) return;
  const labels = open ? renamed(line.slice(metric.length + 1, close), own) : '';
  const value = line.slice(open ? close + 1 : close).trim();
  if (!sampleValue.test(value)) return;
  const all = labels === '' ? added : `${labels},${added}`;
  familyOfSample(families, metric).samples.push(`${metric}{${all}} ${value}`);
}

function familyOfSample(families: Map<string, Family>, metric: string): Family {
  const base = metric.replace(suffix, '');
  return families.get(metric) ?? families.get(base) ?? familyOf(families, metric);
}

function familyOf(families: Map<string, Family>, family: string): Family {
  let known = families.get(family);
  if (known === undefined) families.set(family, (known = { help: '', type: '', samples: [] }));
  return known;
}

/** Index of the brace that closes labels; -1 where none does. Braces may stand in values. */
function endOfLabels(line: string, from: number): number {
  let quoted = false;
  for (let i = from; i < line.length; i++) {
    const c = line[i];
    if (quoted && c === '\\') i += 1;
    else if (c === '"') quoted = !quoted;
    else if (c === '}' && !quoted) return i;
  }
  return -1;
}

/** Labels with those that are ours under another name; text in values stays. */
function renamed(labels: string, own: RegExp): string {
  const parts = labels.split(/("(?:[^"\\]|\\.)*")/);
  for (let i = 0; i < parts.length; i += 2) parts[i] = parts[i].replace(own, '$1exported_$2=');
  return parts.join('').replace(/,\s*$/, '').trim();
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
