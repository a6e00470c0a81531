import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLocalJWKSet, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { createChannel, createClient } from 'nice-grpc';
import { ClientError, Metadata, Status } from 'nice-grpc-common';
import { requireToken } from '../../recipes/require_token.ts';
import { EchoDefinition } from '../echo/gen/echo.ts';
import { serveBehind } from './serve.ts';

const issuer = 'https://issuer.example';
const audience = 'echo';
const { publicKey, privateKey } = await generateKeyPair('ES256');
const stranger = await generateKeyPair('ES256');
const keys = createLocalJWKSet({ keys: [await exportJWK(publicKey)] });
const path = '/echo.Echo/Unary';

/** A token that is valid for an hour; `claims` override the defaults. */
function token(
  claims: Partial<Record<keyof JWTPayload, unknown>> = {},
  key = privateKey,
): Promise<string> {
  const hour = Math.floor(Date.now() / 1000) + 3600;
  const all = { iss: issuer, aud: audience, sub: 'ada', scope: 'echo:call', exp: hour, ...claims };
  return new SignJWT(all).setProtectedHeader({ alg: 'ES256' }).sign(key);
}

/** Makes a call with `authorization`; returns the response, or the status and its message. */
async function call(
  authorization: string | undefined,
  options: Partial<Parameters<typeof requireToken>[0]> = {},
): Promise<string> {
  const middleware = requireToken({
    keys,
    issuer,
    audience,
    scopes: new Map([[path, 'echo:call']]),
    exempt: new Set(),
    ...options,
  });
  await using server = await serveBehind((each) => each.use(middleware), {
    unary: async (text, { subject }) => `${text}, ${subject}`,
  });
  using channel = open(server.address);
  const metadata = new Metadata(authorization === undefined ? {} : { authorization });
  try {
    const { text } = await createClient(EchoDefinition, channel.channel).unary(
      { text: 'hello' },
      { metadata },
    );
    return text;
  } catch (error) {
    assert.ok(error instanceof ClientError);
    return `${Status[error.code]}: ${error.details}`;
  }
}

function open(address: string) {
  const channel = createChannel(address);
  return { channel, [Symbol.dispose]: () => channel.close() };
}

test('requireToken() accepts a token with the scope, and passes the caller to the service', async () => {
  assert.equal(await call(`Bearer ${await token()}`), 'hello, ada');
  assert.equal(await call(`bearer ${await token({ scope: 'other echo:call' })}`), 'hello, ada');
});

test('requireToken() accepts calls of exempt methods without a token', async () => {
  assert.equal(await call(undefined, { exempt: new Set([path]) }), 'hello, undefined');
});

for (const [what, authorization] of [
  ['no token', async () => undefined],
  ['another scheme', async () => 'Basic YTpi'],
  ['what is no token', async () => 'Bearer a.b.c'],
  ['a token that has expired', async () => `Bearer ${await token({ exp: 1 })}`],
  ['a token without an end', async () => `Bearer ${await token({ exp: undefined })}`],
  ['a token for another audience', async () => `Bearer ${await token({ aud: 'other' })}`],
  ['a token of another issuer', async () => `Bearer ${await token({ iss: 'https://other' })}`],
  ['a token without a subject', async () => `Bearer ${await token({ sub: undefined })}`],
  ['a token signed by a stranger', async () => `Bearer ${await token({}, stranger.privateKey)}`],
  ['a token that is not signed', async () => `Bearer ${unsigned(await token())}`],
] as const) {
  test(`requireToken() ends a call with UNAUTHENTICATED for ${what}`, async () => {
    assert.match(await call(await authorization()), /^UNAUTHENTICATED: /);
  });
}

/** The same claims with the algorithm `none` (RFC 7519 section 6). */
function unsigned(signed: string): string {
  const header = Buffer.from('{"alg":"none"}').toString('base64url');
  return `${header}.${signed.split('.')[1]}.`;
}

test('requireToken() ends a call with PERMISSION_DENIED without the scope, or for a method that is not listed', async () => {
  const other = `Bearer ${await token({ scope: 'echo:read' })}`;
  const own = `Bearer ${await token()}`;

  assert.equal(await call(other), 'PERMISSION_DENIED: Missing scope "echo:call"');
  assert.equal(await call(own, { scopes: new Map() }), 'PERMISSION_DENIED: Method is not allowed');
});

test('requireToken() ends a call with UNAVAILABLE if the keys cannot be fetched', async () => {
  const unreachable = () => Promise.reject(new TypeError('fetch failed'));

  const answer = await call(`Bearer ${await token()}`, { keys: unreachable });

  assert.equal(answer, 'UNAVAILABLE: Cannot verify tokens');
});
