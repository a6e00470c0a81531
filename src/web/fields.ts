/** The value of a field, the first if there are several; names and values stand in turn. */
export function valueOf(fields: readonly string[], name: string): string | undefined {
  for (let at = 0; at < fields.length; at += 2) if (fields[at] === name) return fields[at + 1];
  return undefined;
}

/** The same fields with another content type. */
export function withType(fields: readonly string[], type: string): string[] {
  return [...fieldsBut(fields, (name) => name === 'content-type'), 'content-type', type];
}

/** Those fields whose name is none of these. */
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

/** Names and values as a list of fields; values of one name that were joined stay so. */
export function fieldsOf(headers: Headers | undefined): string[] {
  return headers ? [...headers].flat() : [];
}

/** The fields as Connect's library takes them. What no header can carry is left out. */
export function headersOf(fields: readonly string[]): Headers {
  const headers = new Headers();
  append(headers, fields);
  return headers;
}

export function append(headers: Headers, fields: readonly string[]): void {
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? '';
    if (!name.startsWith(':')) headers.append(name, fields[at + 1] ?? '');
  }
}
