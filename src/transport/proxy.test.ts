import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proxyFor } from './proxy.ts';

const http_proxy = 'http://proxy.test:3128';
const isProxied = (host: string, no_proxy: string, port = '80') =>
  proxyFor({ host, port }, { http_proxy, no_proxy }) !== undefined;

test('proxyFor() uses no proxy for this machine, however it is written', () => {
  for (const host of [
    'localhost',
    'LocalHost',
    'localhost.',
    '127.0.0.1',
    '127.0.0.2',
    '::1',
    '0:0:0:0:0:0:0:1',
    '::ffff:127.0.0.1',
    '0.0.0.0',
    '::',
  ]) {
    assert.equal(isProxied(host, ''), false, host);
  }
  for (const host of ['::2', 'localhost.net', 'local.localhost', '128.0.0.1', 'a.test']) {
    assert.equal(isProxied(host, ''), true, host);
  }
});

/** The entries of proxy_test.go in golang.org/x/net/http/httpproxy. */
const noProxy =
  'foobar.com, .barbaz.net, *.wildcard.io, 192.168.1.1, 192.168.1.2:81, 192.168.1.3:80, 10.0.0.0/30, ' +
  '2001:db8::52:0:1, [2001:db8::52:0:2]:443, [2001:db8::52:0:3]:80, 2002:db8:a::45/64,';
const proxied: Record<string, boolean> = {
  '192.168.1.1': false,
  '192.168.1.2': true,
  '192.168.1.3': false,
  '192.168.1.4': true,
  '10.0.0.2': false,
  '10.0.0.4': true,
  '2001:db8::52:0:1': false,
  '2001:db8::52:0:2': true,
  '2001:db8::52:0:3': false,
  '2002:db8:a::123': false,
  'fe80::424b:c8be:1643:a1b6': true,
  'fe80::1%eth0': true,
  'barbaz.net': true,
  'www.barbaz.net': false,
  'WWW.BarBaz.net': false,
  'foobar.com': false,
  'www.foobar.com': false,
  'foofoobar.com': true,
  'baz.com': true,
  'barbarbaz.net': true,
  'wildcard.io': true,
  'nested.wildcard.io': false,
  'awildcard.io': true,
};

test('proxyFor() uses no proxy for what no_proxy lists: domains, addresses, CIDRs, ports', () => {
  for (const [host, expected] of Object.entries(proxied)) {
    assert.equal(isProxied(host, noProxy), expected, host);
    assert.equal(isProxied(host, '*'), false, host);
    assert.equal(isProxied(host, `a.test, *`), false, host);
  }
  for (const odd of ['', ',', ':1', '10.0.0.0/33', '[', '.', '*.', '/', 'http://', '::/129']) {
    assert.equal(isProxied('example.com', odd), true, odd);
    assert.equal(isProxied('10.0.0.1', odd), true, odd);
  }
  assert.equal(isProxied('www.xn--fsq092h.com', '示例.com'), false);
  assert.equal(isProxied('示例.com', 'xn--fsq092h.com'), false);
});

test("proxyFor() reads the variables in gRPC's order, then Go's", () => {
  const proxyOf = (env: Record<string, string>) => proxyFor({ host: 'a.test', port: '1' }, env);
  const three = { grpc_proxy: 'http://g:1', https_proxy: 'http://s:1', http_proxy: 'http://h:1' };

  assert.equal(proxyOf(three)?.address, 'g:1');
  assert.equal(proxyOf({ ...three, grpc_proxy: '' })?.address, 's:1');
  assert.equal(proxyOf({ HTTPS_PROXY: 'proxy.test' })?.address, 'proxy.test:80');
  assert.deepEqual(proxyOf({ https_proxy: 'http://me%40x:a%3Ab@[::1]' }), {
    address: '[::1]:80',
    credentials: 'me@x:a:b',
  });
  assert.equal(proxyOf({ https_proxy: 'http://100%:x@h' })?.credentials, '100%:x');
  for (const unusable of ['https://h', 'socks5://h:1', 'http://', ':::']) {
    assert.equal(proxyOf({ https_proxy: unusable }), undefined, unusable);
  }
  for (const name of ['no_grpc_proxy', 'no_proxy', 'NO_PROXY']) {
    assert.equal(proxyOf({ ...three, [name]: 'a.test' }), undefined, name);
  }
  assert.equal(proxyOf({ ...three, no_grpc_proxy: 'b.test', no_proxy: 'a.test' })?.address, 'g:1');
});
