// The layers of docs/design/0001-layers.md: imports point downward only, without circles.
const rooms = [
  'router',
  'observability',
  'policies',
  'indexer',
  'datalayer',
  'api',
  'controller',
  'openai',
  'proxy',
  'epp',
  'sim',
];
const allowed = {
  router: [],
  observability: [],
  policies: ['router'],
  indexer: ['router'],
  datalayer: ['router', 'observability'],
  api: ['policies', 'router'],
  controller: ['api', 'policies', 'router', 'observability'],
  openai: ['router'],
  proxy: ['openai', 'router', 'observability'],
  epp: ['openai', 'router', 'observability'],
  sim: ['router', 'observability'],
};
module.exports = {
  forbidden: [
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    ...rooms.map((room) => ({
      name: `${room}-imports-downward-only`,
      severity: 'error',
      from: { path: `^src/${room}/`, pathNot: '\\.(test|suite|fixture)\\.ts$' },
      to: { path: '^src/', pathNot: `^src/(${[room, ...allowed[room]].join('|')})/` },
    })),
    {
      name: 'the-decision-does-no-io',
      severity: 'error',
      from: { path: '^src/(router|policies)/', pathNot: '\\.(test|suite|fixture)\\.ts$' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'the-router-needs-no-package',
      severity: 'error',
      from: { path: '^src/router/', pathNot: '\\.(test|suite|fixture)\\.ts$' },
      to: { path: 'node_modules' },
    },
    {
      name: 'one-file-knows-opentelemetry',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/observability/tracing/otel-tracer(\\.test)?\\.ts$' },
      to: { path: 'node_modules/@opentelemetry' },
    },
    {
      name: 'no-orphans',
      severity: 'error',
      from: { orphan: true, path: '^src/', pathNot: '\\.(test|suite|fixture|d)\\.ts$|^src/main\\.ts$' },
      to: {},
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
  },
};
