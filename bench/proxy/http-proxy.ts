import { Agent, createServer } from 'node:http';
import httpProxy from 'http-proxy';

/** `http-proxy.ts PORT ENGINE-PORT…`: http-proxy as its README has it, with a keep-alive agent, engines in turn. */
const [port, ...engines] = process.argv.slice(2).map(Number);
const proxy = httpProxy.createProxyServer({ agent: new Agent({ keepAlive: true }) });
const targets = engines.map((engine) => ({ host: '127.0.0.1', port: engine }));
proxy.on('error', (_error, _request, response) => response.destroy());

let turn = 0;
createServer((request, response) => {
  turn = (turn + 1) % targets.length;
  proxy.web(request, response, { target: targets[turn] });
}).listen(port, '127.0.0.1');
