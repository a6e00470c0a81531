import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Account, Accounts, type Limited } from './account.ts';
import { Held } from './held.ts';

/** The parts that one connection holds; `stalled` of them wait in the middle of a message. */
interface Fake {
  account: Account;
  /** Holds one more part of so many bytes. */
  hold: (bytes: number) => void;
  parts: number[];
  stalled: number;
}

function open(accounts: Accounts, peer?: string): Fake {
  const parts: number[] = [];
  const end = (limited: keyof Limited) => {
    const bytes = parts.shift();
    if (bytes === undefined) return 0;
    account.charge(Held.bodies, -bytes);
    account.count('calls', -1);
    account.count('streams', -1);
    return limited === 'bytes' ? bytes : 1;
  };
  const account = accounts.open(peer, {
    evict: end,
    evictStalled: () => (fake.stalled-- > 0 ? end('bytes') : 0),
  });
  const hold = (bytes: number) => {
    account.count('streams', 1);
    account.count('calls', 1);
    account.charge(Held.bodies, bytes);
    parts.push(bytes);
  };
  const fake: Fake = { account, hold, parts, stalled: 0 };
  return fake;
}

/** Accounts whose deferred tasks run when the test calls run(). */
function create(limits: Partial<Limited>, window = 1) {
  const later: (() => void)[] = [];
  const accounts = new Accounts({ ...limits, window, later: (task) => void later.push(task) });
  const run = () => {
    for (const task of later.splice(0)) task();
  };
  return { accounts, run };
}

const notReclaimable = { isIdle: true, drop() {} };

test('a connection is charged from its first open stream to the end of the last', () => {
  const accounts = new Accounts({ connectionCost: 100 });
  const { account } = open(accounts, 'a');
  const other = open(accounts, 'a').account;
  const count = (whose: Account, more: 1 | -1) => {
    whose.count('streams', more);
    return accounts.used.bytes;
  };

  const steps = [1, 1, -1, -1, 1, -1] as const;
  const used = steps.map((more) => count(account, more));
  const both = [count(account, 1), count(other, 1), count(account, -1)];

  assert.deepEqual(used, [100, 100, 100, 0, 100, 0]);
  assert.deepEqual(both, [100, 200, 100]);
  assert.equal(accounts.heldBytes['calls'], 100);
});

test('Accounts counts bytes by category, and does not limit connections', () => {
  const { accounts } = create({ bytes: 100 });
  const { account } = open(accounts);

  account.charge(Held.connections, 1000);
  account.charge(Held.headers, 30);
  account.charge(Held.output, 20);
  account.charge(Held.headers, -10);

  assert.partialDeepStrictEqual(accounts.heldBytes, { connections: 1000, headers: 20, output: 20 });
  assert.deepEqual([accounts.used.bytes, account.bytes, accounts.isExceeded], [40, 40, false]);
});

test('onMemoryAvailable() calls back once when the limit is no longer exceeded', () => {
  const { accounts, run } = create({ bytes: 100 });
  const { account } = open(accounts);
  const called: string[] = [];
  const left = () => void called.push('left');
  account.charge(Held.bodies, 150);
  accounts.onMemoryAvailable(account, () => void called.push('first'));
  accounts.onMemoryAvailable(account, () => void called.push('second'));
  accounts.onMemoryAvailable(account, left);
  accounts.offMemoryAvailable(left);

  account.charge(Held.bodies, -40);
  run();
  const before = called.length;
  account.charge(Held.bodies, -10);
  run();
  account.charge(Held.bodies, 50);
  account.charge(Held.bodies, -50);
  run();

  assert.equal(before, 0);
  assert.deepEqual(called, ['first', 'second']);
});

test('charge() above the limit frees reclaimable memory, idle memory first', () => {
  const { accounts } = create({ bytes: 160 });
  const { account } = open(accounts);
  const dropped: number[] = [];
  for (const [number, isIdle] of [false, true, false, true, true, true].entries()) {
    account.charge(Held.headers, 10);
    accounts.offer({
      isIdle,
      drop() {
        dropped.push(number);
        account.charge(Held.headers, -10);
      },
    });
  }

  account.charge(Held.bodies, 100);
  const before = [...dropped];
  account.charge(Held.bodies, 5);
  const idle = [...dropped];
  account.charge(Held.bodies, 1000);
  account.charge(Held.bodies, 1000);

  assert.deepEqual(before, []);
  assert.deepEqual(idle, [1, 3]);
  assert.deepEqual(dropped, [1, 3, 4, 5, 0, 2]);
});

test('admits() lets one peer use a whole limit, and another one still gets its fair share', () => {
  const { accounts } = create({ bytes: 1000 });
  const greedy = open(accounts);
  for (let i = 0; i < 10; i++) greedy.hold(100);
  const modest = open(accounts);

  const alone = greedy.account.admits('bytes', 0);
  const more = greedy.account.admits('bytes', 1);
  // A quarter above the limit is available for peers below their share.
  const within = modest.account.admits('bytes', 250);
  greedy.stalled = 3;
  const kept = greedy.parts.length;
  const beyond = modest.account.admits('bytes', 400);
  const aboveShare = modest.account.admits('bytes', 501);

  assert.deepEqual([alone, more], [true, false]);
  assert.deepEqual([within, kept], [true, 10]);
  assert.deepEqual([beyond, greedy.parts.length], [true, 8]);
  assert.equal(aboveShare, false);
});

test('admits() counts connections that hold much without streams as active', () => {
  const { accounts } = create({ bytes: 1000 });
  const holders = Array.from({ length: 4 }, () => open(accounts));
  for (const { account } of holders) {
    account.charge(Held.input, 250);
    account.setHolds(true);
  }
  const modest = open(accounts);

  const first = modest.account.admits('bytes', 100);
  modest.hold(100);
  const share = modest.account.admits('bytes', 101);
  for (const { account } of holders) {
    account.charge(Held.input, -250);
    account.setHolds(false);
  }
  const whole = modest.account.admits('bytes', 900);

  assert.deepEqual([first, share, whole], [true, false, true]);
});

test('admits() shares calls fairly, and never exceeds their limit', () => {
  const { accounts } = create({ calls: 10 });
  const greedy = open(accounts);
  for (let i = 0; i < 10; i++) greedy.hold(1);
  const modest = open(accounts);

  const admitted: boolean[] = [];
  for (let i = 0; i < 7; i++) {
    admitted.push(modest.account.admits('calls', 1));
    if (admitted.at(-1)) modest.hold(1);
  }

  assert.deepEqual(admitted, [true, true, true, true, true, false, false]);
  assert.deepEqual([greedy.parts.length, modest.parts.length], [5, 5]);
  assert.equal(greedy.account.admits('calls', 1), false);
});

test('admits() evicts from the peer with the most calls, even if another connection has more', () => {
  const { accounts } = create({ calls: 12 });
  const crowd = [open(accounts, 'one address'), open(accounts, 'one address')];
  const [less, more] = crowd;
  const single = open(accounts, 'another');
  for (let i = 0; i < 3; i++) less?.hold(1);
  for (let i = 0; i < 5; i++) more?.hold(1);
  for (let i = 0; i < 4; i++) single.hold(1);

  const newcomer = open(accounts, 'a third');
  const admitted = newcomer.account.admits('calls', 1);

  assert.equal(admitted, true);
  assert.deepEqual(
    [...crowd, single].map(({ parts }) => parts.length),
    [3, 4, 4],
  );
});

test('admits() shares the calls of a peer among its connections', () => {
  const { accounts } = create({ calls: 10 });
  const greedy = open(accounts, 'proxy');
  for (let i = 0; i < 10; i++) greedy.hold(1);
  const modest = open(accounts, 'proxy');

  for (let i = 0; i < 5; i++) {
    assert.equal(modest.account.admits('calls', 1), true, `call ${i}`);
    modest.hold(1);
  }
  const sixth = modest.account.admits('calls', 1);

  assert.deepEqual([greedy.parts.length, sixth], [5, false]);
});

test('close() removes a peer from fair sharing', () => {
  const { accounts } = create({ bytes: 100 });
  const [one, other] = [open(accounts, 'one'), open(accounts, 'other')];
  one.hold(10);
  other.hold(90);

  one.account.charge(Held.bodies, -10);
  one.account.count('calls', -1);
  one.account.count('streams', -1);
  accounts.close(one.account, notReclaimable);
  const available = other.account.availableBytes;

  assert.equal(available, 10);
  assert.deepEqual(accounts.used, { bytes: 90, calls: 1, streams: 1 });
});

/** Callbacks that record the result. */
function callbacks(name: string, told: string[]) {
  return {
    granted: () => void told.push(`${name} granted`),
    refused: () => void told.push(`${name} refused`),
  };
}

test('requestAdmission() queues messages, and admits those of the peer with the fewest bytes first', () => {
  const { accounts, run } = create({ bytes: 100 });
  const [holder, heavy, light] = [open(accounts), open(accounts), open(accounts)];
  holder.hold(80);
  holder.account.admit(1);
  heavy.hold(10);
  light.hold(5);
  const told: string[] = [];

  const first = heavy.account.requestAdmission(40, callbacks('heavy', told));
  const second = light.account.requestAdmission(40, callbacks('light', told));
  run();
  const before = [...told];
  holder.account.charge(Held.bodies, -40);
  run();

  assert.ok(typeof first === 'object' && typeof second === 'object');
  assert.deepEqual(before, []);
  assert.equal(told[0], 'light granted');
});

test('requestAdmission() refuses a message of the peer with the most queued ones when the queue is full', () => {
  // The queue has space for six.
  const { accounts } = create({ bytes: 160 }, 10);
  const holder = open(accounts);
  holder.hold(160);
  const [greedy, modest] = [open(accounts), open(accounts)];
  greedy.hold(60);
  modest.hold(60);
  const told: string[] = [];

  const waiting = [0, 1, 2, 3, 4, 5].map((at) =>
    greedy.account.requestAdmission(90, callbacks(`${at}`, told)),
  );
  const seventh = greedy.account.requestAdmission(90, callbacks('seventh', told));
  const other = modest.account.requestAdmission(90, callbacks('other', told));

  assert.ok(waiting.every((each) => typeof each === 'object'));
  assert.equal(seventh, 'refused');
  assert.equal(typeof other, 'object');
  assert.deepEqual(told, ['5 refused']);
});

test('requestAdmission() refuses a message after ten seconds in the queue', () => {
  const { accounts, run } = create({ bytes: 100 });
  const holder = open(accounts);
  holder.hold(100);
  holder.account.admit(1);
  const told: string[] = [];
  const waits = holder.account.requestAdmission(50, callbacks('it', told));

  for (let second = 0; second < 9; second++) accounts.tick(second);
  const before = [...told];
  accounts.tick(10);
  run();

  assert.equal(typeof waits, 'object');
  assert.deepEqual([before, told], [[], ['it refused']]);
});

test('requestAdmission() admits a message that fits before one that does not', () => {
  const { accounts, run } = create({ bytes: 100 });
  const [holder, large, small] = [open(accounts), open(accounts), open(accounts)];
  holder.hold(60);
  holder.account.admit(1);
  const told: string[] = [];
  const waits = large.account.requestAdmission(75, callbacks('large', told));
  run();
  const fits = small.account.requestAdmission(20, callbacks('small', told));

  // Once the other one is late, half of the free bytes are reserved for it.
  accounts.tick(0);
  accounts.tick(1);
  const half = small.account.requestAdmission(20, callbacks('half', told));
  const more = small.account.requestAdmission(21, callbacks('more', told));

  assert.equal(typeof waits, 'object');
  assert.deepEqual([fits, half, typeof more], ['granted', 'granted', 'object']);
});

test('requestAdmission() admits one message at a time, whatever others hold', () => {
  const { accounts, run } = create({ bytes: 100 });
  const [holder, other] = [open(accounts), open(accounts)];
  holder.hold(50);
  other.hold(50);
  const told: string[] = [];
  other.account.requestAdmission(60, callbacks('it', told));

  other.account.requestAdmission(60, callbacks('another', told));

  run();
  other.account.admit(1);
  run();

  assert.deepEqual([holder.parts.length, told], [1, ['it granted']]);
});

test('widen() widens windows within their budget', () => {
  const { accounts } = create({ bytes: 800 });
  const { account } = open(accounts);

  const first = account.widen(60);
  const second = account.widen(60);
  account.widen(-60);
  const third = account.widen(100);

  assert.deepEqual([first, second, third], [true, false, true]);
});

test('tick() evicts stalled messages above the fair share for queued ones', () => {
  const { accounts, run } = create({ bytes: 100 });
  const [idle, other] = [open(accounts), open(accounts)];
  for (let i = 0; i < 9; i++) idle.hold(10);
  other.hold(5);
  idle.account.admit(1);
  idle.stalled = 8;
  const told: string[] = [];
  other.account.requestAdmission(60, callbacks('it', told));

  for (let second = 0; second < 3; second++) {
    accounts.tick(second);
    run();
  }

  assert.deepEqual(told, []);
  assert.equal(idle.parts.length, 5);
});

test('tick() evicts nothing of a peer within its fair share, however much is held', () => {
  const { accounts } = create({ bytes: 100 });
  const [greedy, modest] = [open(accounts), open(accounts)];
  greedy.hold(80);
  modest.hold(40);
  // The peer has nothing to evict: all of it makes progress.
  greedy.parts.length = 0;

  for (let second = 0; second < 3; second++) accounts.tick(second);

  assert.equal(accounts.isExceeded, true);
  assert.equal(modest.parts.length, 1);
});

test('tick() evicts stalled calls, then the largest, once the limit is exceeded for two seconds', () => {
  const { accounts } = create({ bytes: 100 });
  const [small, large] = [open(accounts), open(accounts)];
  for (let i = 0; i < 6; i++) small.hold(10);
  for (let i = 0; i < 8; i++) large.hold(10);
  small.stalled = 1;

  accounts.tick(0);
  const before = [small.parts.length, large.parts.length];
  accounts.tick(1);

  assert.deepEqual(before, [6, 8]);
  assert.deepEqual([small.parts.length, large.parts.length], [5, 5]);
});

test('mustStop is true far above the limit for peers above their share, and 50 % above it for all', () => {
  const { accounts } = create({ bytes: 100 });
  const [greedy, modest] = [open(accounts), open(accounts)];
  greedy.hold(120);
  modest.hold(6);

  const far = [greedy, modest].map(({ account }) => [account.mayGrow, account.mustStop]);
  greedy.hold(30);
  const overfull = modest.account.mustStop;

  assert.deepEqual(far, [
    [false, true],
    [true, false],
  ]);
  assert.equal(overfull, true);
});

test('requestAdmission() admits a message that does not fit alone, and none far above the limit', () => {
  const { accounts, run } = create({ bytes: 100 });
  const [holder, other] = [open(accounts), open(accounts)];
  const granted: string[] = [];
  const ask = (name: string) =>
    other.account.requestAdmission(60, { granted: () => granted.push(name), refused() {} });
  holder.hold(90);

  assert.notEqual(ask('first'), 'granted');
  run();
  assert.deepEqual(granted, ['first']);
  other.account.admit(1);
  holder.hold(60);
  assert.equal(accounts.isFarExceeded, false, 'an admission beyond the limit raises the far limit');
  other.account.admit(-1);
  assert.equal(accounts.isFarExceeded, true);

  assert.notEqual(ask('second'), 'granted');
  run();
  assert.deepEqual(granted, ['first']);
});
