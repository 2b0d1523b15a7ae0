// What both ways to the database answer alike.
import { createHash, timingSafeEqual } from "node:crypto";
import { ConflictException, UnprocessableEntityException } from "@nestjs/common";
import type { Answer, NewUser, User } from "./store.js";

/** What is kept and answered of a new user. */
export function created(user: User): Answer & { hash: Buffer } {
  const body = JSON.stringify({ data: user });
  return { status: 201, body, hash: createHash("sha256").update(body).digest() };
}

/** What a key was used for before, once more; another request under the same key is refused. */
export function replayed(asked: NewUser, kept: { digest: Uint8Array; status: number; body: string | null }): Answer {
  if (!timingSafeEqual(kept.digest, asked.digest)) throw new UnprocessableEntityException("Idempotency-Key");
  return { status: kept.status, body: kept.body ?? "" };
}

export function event(user: User) {
  return { version: 1, data: user };
}

export function metadata({ requestId }: NewUser) {
  return { requestId, verb: "insert", changed: [] };
}

/** Two at the same time: the second one's key or e-mail address is taken when the first one commits. */
export function taken(): never {
  throw new ConflictException();
}
