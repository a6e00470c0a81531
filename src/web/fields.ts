/** Returns the fields with another content type. */
export function withType(fields: readonly string[], type: string): string[] {
  return [...fieldsBut(fields, (name) => name === 'content-type'), 'content-type', type];
}

/** Returns the fields whose names are not left out. */
export function fieldsBut(
  fields: readonly string[],
  isLeftOut: (name: string) => boolean,
): string[] {
  const kept: string[] = [];
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? '';
    if (!isLeftOut(name)) kept.push(name, fields[at + 1] ?? '');
  }
  return kept;
}

/** Converts headers to names and values, alternating; joined values of one name stay joined. */
export function fieldsOf(headers: Headers | undefined): string[] {
  return headers ? [...headers].flat() : [];
}

/** Converts names and values to headers, without names that HTTP/2 carries but Headers cannot have. */
export function headersOf(fields: readonly string[]): Headers {
  const headers = new Headers();
  append(
    headers,
    fieldsBut(fields, (name) => !token.test(name)),
  );
  return headers;
}

/** RFC 9110 section 5.6.2. */
const token = /^[\w!#$%&'*+.^`|~-]+$/;

/** Appends names and values to headers, without pseudo-header fields. */
function append(headers: Headers, fields: readonly string[]): void {
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? '';
    if (!name.startsWith(':')) headers.append(name, fields[at + 1] ?? '');
  }
}
