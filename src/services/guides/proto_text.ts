/** A message in protobuf's text format, as the guides' Python clients print it. */
export function protoText(message: object, indent = ''): string {
  return Object.entries(message)
    .flatMap(([name, value]: [string, unknown]) =>
      (Array.isArray(value) ? value : [value]).map((one) => fieldText(name, one, indent)),
    )
    .join('');
}

function fieldText(name: string, value: unknown, indent: string): string {
  if (value === '' || value === false) return '';
  if (typeof value !== 'object' || value === null) {
    return `${indent}${name}: ${JSON.stringify(value)}\n`;
  }
  return `${indent}${name} {\n${protoText(value, `${indent}  `)}${indent}}\n`;
}
