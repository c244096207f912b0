// The page docs/reference/metrics.md, made of what the code tells of its metrics.
import { metricGroups, type Metric, type MetricGroup } from './metrics-reference-sources.ts';

/** The text of the page. */
export function metricsPage(): string {
  const groups = metricGroups();
  return `<!-- Generated from src by scripts/generate.ts; do not edit. -->

# Metrics

Times are in seconds, sizes in bytes, ratios between 0 and 1. Counters count since the start of the process. Histograms
have \`_bucket\`, \`_sum\` and \`_count\`. Where they are to be had, what to look at and what to be woken for says
[the guide](../guides/metrics.md). \`serve\`, \`epp\` and \`pd-proxy\` tell theirs at \`--metrics\`, \`cache-indexer\` at
\`--listen\`, all at \`/metrics\`, with the process's own (\`process_*\`, \`nodejs_*\`) as prom-client writes them.

${groups.map(section).join('\n')}`;
}

function section(group: MetricGroup): string {
  const where = group.commands.map((command) => `\`${command}\``).join(', ');
  return `## ${group.title}

In ${where}. ${group.note}

| metric | type | labels | |
|---|---|---|---|
${group.metrics.map(row).join('\n')}
`;
}

function row({ name, type, labels, help }: Metric): string {
  const named = labels.map((label) => `\`${label}\``).join(', ');
  return `| \`${name}\` | ${type} | ${named} | ${help.replaceAll('|', '\\|')} |`;
}
