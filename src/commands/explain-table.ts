import type { ExplainedBackend, ExplainedEndpoint } from '../router/explanation.ts';
import type { ToldDecision } from './explain-source.ts';

/** Endpoints that are shown at most. */
const shown = 40;
const longestName = 32;
const shortestReason = 20;

/** A decision as text, for people; `width` is that of their terminal in columns. */
export function explanationLines(decision: ToldDecision, width: number): string[] {
  return [...facts(decision), '', ...table(decision, width), ...legend(decision)].map(harmless);
}

function facts(decision: ToldDecision): string[] {
  const { policy, model, promptTokens, effectiveProfile, byChance, backends } = decision;
  const lines: [string, string][] = [
    ['policy', policy],
    ['decision', whenAndWhich(decision)],
    ['model', `${model}, prompt of about ${promptTokens} tokens`],
    ['profile', effectiveProfile],
    ['backends', backends.map(backendText).join(', ')],
    ['picked', pickedText(decision)],
  ];
  if (byChance.length > 0) lines.push(['by chance', byChance.join('; ')]);
  return lines.map(([name, text]) => `${name.padEnd(9)} ${text}`);
}

function whenAndWhich({ at, hypothetical, requestId, attempt }: ToldDecision): string {
  if (hypothetical) return 'hypothetical: nothing was sent';
  const request = requestId === null ? '' : `, request ${requestId}`;
  return `${at}${request}${attempt > 1 ? `, try ${attempt}` : ''}`;
}

function backendText({ group, weight, share, reason }: ExplainedBackend): string {
  return `${group} weight ${weight} (${reason ?? `${Math.round(share * 100)}%`})`;
}

function pickedText({ picked }: ToldDecision): string {
  if (picked === null) return 'none: no endpoint is left';
  const { endpoint, group, address, cachedTokens, rewriteModel } = picked;
  const rewritten = rewriteModel === null ? '' : `, as model ${rewriteModel}`;
  return `${endpoint} of ${group} at ${address}, ${cachedTokens} tokens cached${rewritten}`;
}

type Row = readonly string[];

/** One line an endpoint, candidates first, the best on top. */
function table(decision: ToldDecision, width: number): string[] {
  const ordered = inOrder(decision);
  const listed = ordered.slice(0, shown);
  const columns = scorersOf(decision).map((_scorer, i) => letter(i));
  const severalGroups = decision.backends.length > 1;
  const header: Row = ['', 'ENDPOINT', ...(severalGroups ? ['GROUP'] : []), 'CACHED', ...columns, 'TOTAL'];
  const rows = listed.map((endpoint) => cells(endpoint, severalGroups, columns.length));
  const widths = header.map((title, c) => Math.max(title.length, ...rows.map((row) => row[c].length)));
  const words = severalGroups ? 3 : 2;
  const line = (row: Row): string =>
    row.map((cell, c) => (c < words ? cell.padEnd(widths[c]) : cell.padStart(widths[c]))).join('  ');
  const used = widths.slice(0, words).reduce((sum, one) => sum + one + 2, 0);
  const lines = listed.map(({ reason }, r) => {
    if (reason === null) return line(rows[r]);
    // An endpoint without scores has their columns for its reason.
    const room = Math.max(shortestReason, width - used);
    return `${line(rows[r].slice(0, words))}  ${clip(reason, room)}`;
  });
  if (ordered.length > shown) lines.push(`… and ${ordered.length - shown} more endpoints; -o json shows all`);
  return [line(header), ...lines];
}

/** The picked one first, then by total; those without one last. */
function inOrder({ endpoints, best }: ToldDecision): ExplainedEndpoint[] {
  const cost = ({ picked, score }: ExplainedEndpoint): number => {
    if (picked) return -Infinity;
    if (score === null) return Infinity;
    return best === 'lowest' ? score : -score;
  };
  const costs = endpoints.map((endpoint) => ({ endpoint, cost: cost(endpoint) }));
  return costs.sort((a, b) => (a.cost < b.cost ? -1 : Number(a.cost > b.cost))).map(({ endpoint }) => endpoint);
}

function cells(endpoint: ExplainedEndpoint, severalGroups: boolean, scorers: number): Row {
  const { picked, group, cachedTokens, parts, score } = endpoint;
  const values = Array.from({ length: scorers }, (_, i) => (i < parts.length ? number(parts[i].value) : ''));
  return [
    picked ? '*' : '',
    clip(endpoint.endpoint, longestName),
    ...(severalGroups ? [clip(group, longestName)] : []),
    cachedTokens === null ? '' : number(cachedTokens),
    ...values,
    score === null ? '' : number(score),
  ];
}

function legend(decision: ToldDecision): string[] {
  const scorers = scorersOf(decision);
  const lines = scorers.map(({ scorer, weight }, i) => `${letter(i)} = ${scorer}, weight ${weight}`);
  if (scorers.length > 0) lines.push(`TOTAL = sum of value × weight; the ${decision.best} is the best`);
  return ['', ...lines, `picker: ${decision.picker}`];
}

function scorersOf({ endpoints }: ToldDecision): ExplainedEndpoint['parts'] {
  return endpoints.find(({ score }) => score !== null)?.parts ?? [];
}

function letter(i: number): string {
  return String.fromCharCode('A'.charCodeAt(0) + i);
}

function number(value: number): string {
  return String(Number(value.toPrecision(4)));
}

function clip(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

/** Names come from clients and manifests: nothing in them may steer a terminal. */
function harmless(line: string): string {
  return line.replaceAll(/\p{Cc}/gu, '?');
}
