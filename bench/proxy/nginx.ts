import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { answerBody, chatPath, metricsBody, modelsBody } from './payloads.ts';
import { listening, startPinned } from './processes.ts';

/** Directives outside `http`, and paths that keep nginx inside its folder. */
function configuration(folder: string, http: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder};`);
  return `
daemon off;
worker_processes 1;
pid ${folder}/pid;
error_log ${folder}/error.log error;
events { worker_connections 4096; }
http {
  ${temporary.join(' ')}
  access_log off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  client_header_buffer_size 16k;
  client_body_buffer_size 64k;
  ${http}
}`;
}

async function start(core: number, folder: string, http: string, port: number): Promise<ChildProcess> {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, configuration(folder, http));
  const child = startPinned({ core, command: 'nginx', args: ['-e', join(folder, 'error.log'), '-c', file] });
  await listening(port);
  return child;
}

/** Engines that answer `answer` at once: nginx itself, the cheapest server at hand. It reads bodies and drops them. */
export function startEngines(
  core: number,
  folder: string,
  ports: readonly number[],
  answer = answerBody,
): Promise<ChildProcess> {
  const quoted = (text: string): string => `'${text.replaceAll("'", '')}'`;
  const http = `
  default_type application/json;
  server {
    ${ports.map((port) => `listen 127.0.0.1:${port};`).join(' ')}
    location = ${chatPath} { return 200 ${quoted(answer)}; }
    location = /v1/models { return 200 ${quoted(modelsBody)}; }
    location = /metrics { default_type text/plain; return 200 ${quoted(metricsBody)}; }
    location = /health { return 200 ''; }
  }`;
  return start(core, folder, http, ports[0]);
}

/** nginx as a reverse proxy: connections to the engines kept, answers passed on as they come. */
export function startProxy(
  core: number,
  folder: string,
  port: number,
  engines: readonly number[],
): Promise<ChildProcess> {
  const http = `
  upstream engines {
    ${engines.map((engine) => `server 127.0.0.1:${engine};`).join(' ')}
    keepalive 256; keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://engines;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 300s;
    }
  }`;
  return start(core, folder, http, port);
}
