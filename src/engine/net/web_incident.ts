import { bounded } from '../bounded.ts';
import type { Incident } from '../http2/incident.ts';
import type { WebRequest, WebResponse } from '../web.ts';

const maxPathBytes = 200;

/** The incident of a request that opens no call and therefore has no line in the log. */
export function webIncident(
  { method, path }: Pick<WebRequest, 'method' | 'path'>,
  { status }: WebResponse,
): Incident | undefined {
  if (status !== 405 && status !== 415) return undefined;
  const what = status === 405 ? 'this method' : 'this content type';
  const message = `Cannot accept ${what}: ${bounded(method, 20)} ${bounded(path, maxPathBytes)}`;
  return { reason: `http_${status}`, message };
}
