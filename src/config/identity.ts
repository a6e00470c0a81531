/** The names of response headers that tell which server has responded, by the variable that each is read from. */
const headers: Readonly<Record<string, string>> = {
  POD_NAME: 'x-greeter-pod',
  POD_NAMESPACE: 'x-greeter-namespace',
  NODE_NAME: 'x-greeter-node',
  NODE_ZONE: 'x-greeter-zone',
};

/** Names and values, alternating. Empty variables, such as a label that a pod does not have, are left out. */
export function placeHeaders(env: Readonly<Record<string, string | undefined>>): readonly string[] {
  return Object.entries(headers).flatMap(([variable, name]) => {
    const value = env[variable];
    return value && isHeaderValue(value) ? [name, value] : [];
  });
}

/** Visible ASCII, of at most the length of a DNS name (RFC 1035 section 2.3.4). */
function isHeaderValue(text: string): boolean {
  return /^[!-~]{1,253}$/.test(text);
}
