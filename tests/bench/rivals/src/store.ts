// What the application needs of a database, whichever way it takes.

/** Of a verified token, as far as it is used. */
export interface Claims {
  sub: string;
  tenantId: string;
  sid: string;
  jti: string;
}

export interface User {
  id: string;
  email: string;
  name: string;
  status: string;
  suspendedReason: string | null;
  authProvider: string;
  createdAt: Date;
  updatedAt: Date;
}

export interface Me {
  actor: { type: "user"; id: string; email: string; name: string };
  tenant: { id: string; slug: string; name: string };
  packages: { key: string; name: string; expiresAt: Date | null }[];
  groups: string[];
  actions: string[];
}

/** A place in the list: after this row. */
export interface After {
  createdAt: Date;
  id: string;
}

export interface NewUser {
  claims: Claims;
  email: string;
  name: string;
  idempotencyKey: string;
  /** SHA-256 of who asks for what. */
  digest: Buffer;
  requestId: string;
  ip: string;
  userAgent: string | undefined;
}

/** What was answered, now or when the key was first used. */
export interface Answer {
  status: number;
  body: string;
}

export abstract class Store {
  /** Whether tenant, person and session stand, and the token is not revoked. */
  abstract isAlive(claims: Claims): Promise<boolean>;
  /** Whether a group of the person grants the action, and a package or an exception of the tenant has it. */
  abstract may(claims: Claims, action: string): Promise<boolean>;
  abstract me(claims: Claims): Promise<Me>;
  /** Newest first. */
  abstract users(tenantId: string, limit: number, after: After | undefined): Promise<User[]>;
  /** User, audit row, event and the answer under its key, in one transaction. */
  abstract createUser(user: NewUser): Promise<Answer>;
}
