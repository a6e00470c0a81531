import { type Account, Accounts, type Limited } from '../../src/engine/account.ts';
import type { Connection } from '../../src/engine/http2/connection.ts';

/** An account that is its own peer, and the accounts of its server. */
export interface OwnAccount {
  accounts: Accounts;
  account: Account;
  /** Sets the connection of the account. */
  of: (connection: Connection) => void;
}

/** Opens an account; unlimited by default. */
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
