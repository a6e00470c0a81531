import { type Account, Accounts, type Limited } from '../../src/engine/account.ts';
import type { Connection } from '../../src/engine/http2/connection.ts';

/** An account of a connection that is a peer by itself, and those it shares with. */
export interface OwnAccount {
  accounts: Accounts;
  account: Account;
  /** Says whose account it is, as soon as that is there. */
  of: (connection: Connection) => void;
}

/** Opens one; without limits there are none. */
export function ownAccount(
  limits: Partial<Limited> = {},
  accounts = new Accounts(limits),
): OwnAccount {
  let connection: Connection | undefined;
  const account = accounts.open(undefined, {
    evict: (limited, since) => connection?.evict(limited, since) ?? 0,
    evictStalled: (since) => connection?.evictStalled(since) ?? 0,
  });
  return { accounts, account, of: (opened) => void (connection = opened) };
}
